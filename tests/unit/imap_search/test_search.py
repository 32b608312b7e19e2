"""SEARCH: what a command means and which messages it finds."""

from __future__ import annotations

import encodings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.search import parse_search as parse_arguments
from services.imap.message import Field, Message, parse, read_header, rfc822_size
from services.imap.search.body import PIECE_CHARS
from services.imap.search.charset import codec, decode
from services.imap.search.match import Bounds, bind, matches
from services.imap.search.parse import MAX_DEPTH, MAX_KEYS, BadCharset, parse_search
from tests.unit.imap_message.test_parse import MESSAGES


@dataclass
class View:
    """A message in a mailbox; counts how often its file was read."""

    raw: bytes
    seq: int = 1
    flags: frozenset[bytes] = frozenset()
    keywords: frozenset[bytes] = frozenset()
    internaldate: int = int(datetime(2003, 5, 24, 23, 59, tzinfo=UTC).timestamp())
    reads: list[str] = field(default_factory=list)

    @property
    def uid(self) -> int:
        return self.seq * 10

    @property
    def savedate(self) -> int | None:
        return self.internaldate

    def modseq(self) -> int:
        return 1

    def email_id(self) -> bytes:
        return b"M0"

    def size(self) -> int:
        self.reads.append("size")
        return rfc822_size(parse(self.raw).text)

    def header(self) -> list[Field]:
        self.reads.append("header")
        return read_header(self.raw)

    def message(self) -> Message:
        self.reads.append("message")
        return parse(self.raw)


def find(command: bytes, views: Sequence[View], *literals: bytes) -> list[int]:
    """Numbers of the messages that the command's keys mean; `%` in the command stands for a literal."""
    texts = command.split(b"%")
    parts = (*(part for pair in zip(texts, literals, strict=False) for part in pair), texts[-1])
    asked = parse_arguments(Cursor(parts), uid=False)
    key = bind(parse_search(asked.keys, asked.charset), Bounds(exists=len(views), largest_uid=len(views) * 10))
    return [view.seq for view in views if matches(key, view)]


def one(command: bytes, raw: bytes, *literals: bytes) -> bool:
    return find(command, [View(raw)], *literals) == [1]


FIVE = [
    View(b"", seq=seq, flags=flags, keywords=keywords)
    for seq, flags, keywords in (
        (1, frozenset(), frozenset()),
        (2, frozenset({b"\\Seen"}), frozenset({b"Work"})),
        (3, frozenset({b"\\Recent"}), frozenset()),
        (4, frozenset({b"\\Recent", b"\\Seen", b"\\Flagged"}), frozenset({b"work", b"$x"})),
        (5, frozenset({b"\\Deleted", b"\\Draft", b"\\Answered"}), frozenset()),
    )
]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (b"ALL", [1, 2, 3, 4, 5]),
        (b"new", [3]),
        (b"OLD", [1, 2, 5]),
        (b"RECENT", [3, 4]),
        (b"SEEN UNFLAGGED", [2]),
        (b"UNSEEN UNDELETED", [1, 3]),
        (b"OR DRAFT FLAGGED", [4, 5]),
        (b"NOT OR SEEN RECENT", [1, 5]),
        (b"NOT (SEEN FLAGGED)", [1, 2, 3, 5]),
        (b"KEYWORD WORK", [2, 4]),
        (b"UNKEYWORD $x", [1, 2, 3, 5]),
        (b"2,4:*", [2, 4, 5]),
        (b"*", [5]),
        (b"7", []),
        (b"7:*", []),
        (b"UID 15:30,50", [2, 3, 5]),
        (b"UID *", [5]),
        (b"UID 900:*", [5]),
        (b"NOT 1:4 ANSWERED", [5]),
    ],
)
def test_flags_and_numbers(command: bytes, found: list[int]) -> None:
    assert find(command, FIVE) == found


@pytest.mark.parametrize(
    "command",
    [
        b"", b"BOGUS", b"NOT", b"OR SEEN", b"SUBJECT", b"HEADER x", b"SMALLER x", b"SMALLER -1", b"BEFORE yesterday",
        b"ON 31-Feb-2003", b"SINCE 1-Jan-99", b"0", b"1:", b"1,,2", b"UID x", b"()", b'"SEEN"', b"SUBJECT (x)",
        b"NOT " * (MAX_DEPTH + 1) + b"SEEN", b"OR SEEN " * 3000 + b"SEEN",
        b" ".join([b"SEEN"] * (MAX_KEYS + 1)), b" ".join([b"BODY x TEXT y"] * 17),
    ],
)  # fmt: skip
def test_what_is_no_search_is_refused(command: bytes) -> None:
    with pytest.raises(BadSyntax):
        find(command, FIVE)


@pytest.mark.parametrize("charset", [b"X-NONE", b"zip", b"idna", b"hex", b"../x", b"unicode_escape"])
def test_an_unknown_charset_is_refused(charset: bytes) -> None:
    with pytest.raises(BadCharset):
        find(b"CHARSET " + charset + b" SUBJECT x", FIVE)


def test_names_of_charsets_that_nobody_knows_are_not_remembered() -> None:
    spellings = ("x%d", "utf" + "-" * 5 + "%d", "iso-8859-1%d", "x" * 100_000 + "%d", "  iso---%d8859-1", "utf -.%d- 8")
    codec("utf-8"), codec("iso-8859-1")
    before = len(encodings._cache)
    for number in range(1, 2000):
        for spelling in spellings:
            codec(spelling % number)
            decode(b"\xff", spelling % number)
    assert len(encodings._cache) < before + 40


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("UTF-8", "utf-8"),
        ("ISO_8859-1:1987", "iso8859-1"),
        ("ansi_x3.4-1968", "utf-8"),
        ("Windows-1252", "cp1252"),
        ("KOI8-R", "koi8-r"),
        (" koi8-u ", "koi8-u"),
        ("iso-2022-jp", "iso2022_jp"),
        ("EUC_KR", "euc_kr"),
        ("rot13", None),
    ],
)
def test_charsets_by_the_names_in_use(name: str, known: str | None) -> None:
    assert codec(name) == known


def test_text_must_be_in_its_charset() -> None:
    with pytest.raises(BadSyntax):
        find(b"CHARSET UTF-8 SUBJECT %", FIVE, b"\xff")
    assert one(b"CHARSET ISO-8859-1 SUBJECT %", "Subject: Grüße\n\n".encode(), b"gr\xfc\xdfe")


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (b"ON 24-May-2003", True),
        (b"ON 25-May-2003", False),
        (b"BEFORE 25-May-2003", True),
        (b"BEFORE 24-May-2003", False),
        (b'SINCE "24-may-2003"', True),
        (b"SENTON 1-Jun-2003", True),
        (b"SENTON 31-May-2003", False),
        (b"SENTBEFORE 1-Jun-2003", False),
        (b"SENTSINCE 1-Jun-2003", True),
    ],
)
def test_days(command: bytes, found: bool) -> None:
    """Arrival by UTC, sending by the sender's own day (RFC 3501: disregarding time and time zone)."""
    assert one(command, b"Date: Sun, 1 Jun 2003 03:00:00 +0700\n\n") is found


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (b"SUBJECT LAPORAN", True),
        (b'SUBJECT "laporan bulan mei"', True),
        (b'SUBJECT ""', True),
        (b"CC x", False),
        (b'CC ""', False),
        (b'FROM "santoso, a"', True),
        (b"FROM ari@xeris", True),
        (b"FROM komentar", True),
        (b"TO panitia", True),
        (b"HEADER x-Spam yes", True),
        (b"HEADER X-Spam no", False),
        (b"TEXT x-spam", True),
        (b"BODY x-spam", False),
        (b"BODY halo", True),
        (b"TEXT halo", True),
        (b"LARGER 10 SMALLER 100000", True),
    ],
)
def test_texts(command: bytes, found: bool) -> None:
    raw = (
        b'From: "Santoso, Ari" <ari@xeris.com>, x@y (komentar)\nTo: Panitia: a@b;\n'
        b"Subject: Laporan\n\tbulan  Mei\nX-Spam: Yes\n\nHALO\n"
    )
    assert one(command, raw) is found


@pytest.mark.parametrize(
    "subject",
    [
        b"=?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?=",
        b"=?iso-8859-1?Q?Gr=FC=DFe?= an alle",
        b"=?utf-8?b?R3LDvMOf?= =?utf-8?b?ZSBhbg==?= alle",
        b"=?utf-8?q?Gr=C3?=\n =?utf-8?q?=BC=C3=9Fe?= an alle",
        b"=?utf-8*de?q?Gr=C3=BC=C3=9Fe_an_alle?=",
        "Grüße an alle".encode(),
        "Grüße an alle".encode("latin-1"),
        "Gru\u0308ße an alle".encode(),
    ],
)
def test_encoded_words_are_read(subject: bytes) -> None:
    raw = b"Subject: " + subject + b"\n\n"
    assert one(b"CHARSET UTF-8 SUBJECT %", raw, "GRÜSSE AN ALLE".encode())
    assert one(b"CHARSET UTF-8 TEXT %", raw, "grüße an".encode())
    assert not one(b"CHARSET UTF-8 SUBJECT %", raw, b"=?")


@pytest.mark.parametrize(
    ("charset", "encoding", "body"),
    [
        (b"iso-2022-jp", b"7bit", "佐藤さん".encode("iso-2022-jp")),
        (b"koi8-r", b"8bit", "да".encode("koi8-r")),
        (b"utf-8", b"base64", b"5L2Q6Jek\n44GV44KT"),
        (b"utf-8", b"quoted-printable", b"=E4=BD=90=E8=\n=97=A4"),
    ],
)
def test_bodies_are_decoded(charset: bytes, encoding: bytes, body: bytes) -> None:
    raw = b"Content-Type: text/plain; charset=%b\nContent-Transfer-Encoding: %b\n\n%b\n" % (charset, encoding, body)
    wanted = "ДА" if charset == b"koi8-r" else "佐藤"
    assert one(b"CHARSET UTF-8 BODY %", raw, wanted.encode())
    assert not one(b"CHARSET UTF-8 BODY %", raw, "佐藤藤".encode())


def test_only_text_is_searched_but_in_every_part() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\n\nprolog\n--b\nContent-Type: application/pdf\n\nrahasia\n"
        b"--b\nContent-Type: message/rfc822\n\nSubject: dalam\n\nisi dalam\n--b--\n"
    )
    assert one(b"BODY %", raw, b"isi dalam")
    assert one(b"TEXT application/pdf", raw)
    assert not one(b"BODY application/pdf", raw)
    assert not one(b"BODY rahasia", raw)


@given(st.integers(-12, 12))
def test_a_text_across_two_pieces_is_found(shift: int) -> None:
    raw = b"Subject: x\n\n" + b"y" * (PIECE_CHARS + shift) + b"needle" + b"y" * PIECE_CHARS
    assert one(b"BODY needle", raw)
    assert not one(b"BODY needles", raw)


def test_cheap_keys_are_asked_first() -> None:
    views = [View(b"Subject: x\n\nhalo\n", seq=1), View(b"Subject: x\n\nhalo\n", seq=2, flags=frozenset({b"\\Seen"}))]
    assert find(b"BODY halo SUBJECT x SEEN", views) == [2]
    assert (views[0].reads, views[1].reads) == ([], ["header", "message"])
    views[0].reads.clear()
    assert find(b"OR (BODY none) (OR SEEN 1)", views[:1]) == [1]
    assert views[0].reads == []


COMMANDS = (b"TEXT %", b"BODY %", b"HEADER subject %", b"FROM %", b"NOT SENTBEFORE 1-Jan-2003 TEXT %")


@given(MESSAGES, st.sampled_from(COMMANDS), st.text(max_size=5))
def test_any_message_can_be_searched(raw: bytes, command: bytes, text: str) -> None:
    assert find(b"CHARSET UTF-8 " + command, [View(raw)], text.encode("utf-8", "replace")) in ([], [1])


@given(
    st.sampled_from(["utf-16", "utf-7", "iso-2022-kr", "hz", "big5hkscs", "euc_jis_2004", "idna", "zip", "mbcs", "uu"]),
    st.sampled_from(["base64", "quoted-printable", "8bit"]),
    st.binary(max_size=80),
)
def test_any_octets_in_any_charset_can_be_searched(charset: str, encoding: str, body: bytes) -> None:
    head = f"Subject: =?{charset}?q?=FF+=00?=\nContent-Type: text/plain; charset={charset}\n"
    raw = head.encode() + f"Content-Transfer-Encoding: {encoding}\n\n".encode() + body
    assert not one(b"TEXT %", raw, b"no such text in so few octets, however they are decoded, at all, whatever happens")


@given(
    st.lists(
        st.sampled_from([b"NOT", b"OR", b"(", b")", b"SEEN", b"1:*", b"SUBJECT", b"x", b'"y"', b"UID"]), max_size=12
    )
)
def test_any_words_are_a_search_or_refused(words: list[bytes]) -> None:
    try:
        found = find(b" ".join(words), FIVE)
    except BadSyntax:
        return
    assert set(found) <= {1, 2, 3, 4, 5}
