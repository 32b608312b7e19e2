"""BODY[...]: sections fit together, and a piece of a section is a piece of the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imap import message as mail
from services.imap.message.text import MARK_BYTES, PIECE_BYTES, Text

MIXED = (
    b"From: a@b\nSubject: satu\n dua\nContent-Type: multipart/mixed; boundary=b\n\n"
    b"--b\nContent-Type: text/plain\nX: y\n\nisi\n"
    b"--b\nContent-Type: message/rfc822\n\nSubject: dalam\nContent-Type: multipart/mixed; boundary=c\n\n"
    b"--c\nX: z\n\ndalam satu\n--c--\n--b--\n"
)
HEADERS = st.lists(st.sampled_from([b"A: b\n", b"B: c\n d\n", b"a : x\r\n", b"no colon\n", b" \n", b":\n"]), max_size=6)
TEXTS = st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"x", b"--b"]), max_size=20).map(b"".join)


def crlf(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def find(
    raw: bytes,
    *part: int,
    kind: str | None = None,
    fields: tuple[bytes, ...] = (),
    partial: tuple[int, int] | None = None,
) -> bytes | None:
    found = mail.section(mail.parse(raw), mail.SectionSpec(part, kind, fields), partial)
    if found is None:
        return None
    octets = b"".join(found)
    assert len(octets) == found.size
    assert b"".join(found) == octets, "a section can be sent again"
    return octets


def get(
    raw: bytes,
    *part: int,
    kind: str | None = None,
    fields: tuple[bytes, ...] = (),
    partial: tuple[int, int] | None = None,
) -> bytes:
    octets = find(raw, *part, kind=kind, fields=fields, partial=partial)
    assert octets is not None
    return octets


@given(HEADERS.map(b"".join), TEXTS)
def test_header_and_text_are_the_whole_message(header: bytes, text: bytes) -> None:
    raw = header + b"\n" + text
    assert get(raw, kind="HEADER") + get(raw, kind="TEXT") == get(raw) == crlf(raw)
    assert mail.rfc822_size(mail.parse(raw).text) == len(crlf(raw))


@given(HEADERS, st.sets(st.sampled_from([b"a", b"B", b"c", b""]), max_size=3))
def test_fields_and_their_complement_are_all_fields(lines: list[bytes], names: set[bytes]) -> None:
    raw = b"Z: 1\n" + b"".join(lines) + b"\ntext\n"
    some = get(raw, kind="HEADER.FIELDS", fields=tuple(names))
    others = get(raw, kind="HEADER.FIELDS.NOT", fields=tuple(names))
    assert some.endswith(b"\r\n") and others.endswith(b"\r\n\r\n")
    assert len(some) + len(others) == len(get(raw, kind="HEADER")) + 2  # both end with the empty line


@given(TEXTS, st.integers(0, 70), st.integers(1, 70))
def test_a_partial_fetch_is_a_slice_of_the_whole(text: bytes, offset: int, count: int) -> None:
    raw = b"Subject: x\n\n" + text
    assert get(raw, partial=(offset, count)) == crlf(raw)[offset : offset + count]


def test_fields_come_folded_as_they_are() -> None:
    assert get(MIXED, kind="HEADER.FIELDS", fields=(b"SUBJECT", b"X-None")) == b"Subject: satu\r\n dua\r\n\r\n"


def test_parts_by_number() -> None:
    assert get(MIXED, 1) == b"isi"
    assert get(MIXED, 1, kind="MIME") == b"Content-Type: text/plain\r\nX: y\r\n\r\n"
    assert get(MIXED, 2).startswith(b"Subject: dalam\r\n")
    assert get(MIXED, 2, kind="HEADER.FIELDS", fields=(b"subject",)) == b"Subject: dalam\r\n\r\n"
    assert get(MIXED, 2, kind="HEADER") + get(MIXED, 2, kind="TEXT") == get(MIXED, 2)
    assert get(MIXED, 2, 1) == b"dalam satu"
    assert get(MIXED, 2, 1, kind="MIME") == b"X: z\r\n\r\n"


@pytest.mark.parametrize("part", [(3,), (1, 1), (1, 2), (2, 2), (2, 1, 1), (0,), (1, 0)])
def test_a_part_that_is_not_there_is_none(part: tuple[int, ...]) -> None:
    assert find(MIXED, *part) is None
    assert find(MIXED, *part, kind="MIME") is None


def test_a_part_that_is_no_message_has_no_header() -> None:
    assert find(MIXED, 1, kind="HEADER") is None
    assert find(MIXED, 1, kind="TEXT") is None


def test_part_one_of_a_plain_message_is_its_text() -> None:
    assert get(b"A: b\n\nisi\n", 1) == b"isi\r\n"
    assert get(b"A: b\n\nisi\n", 1, kind="MIME") == b"A: b\r\n\r\n"
    assert find(b"A: b\n\nisi\n", 2) is None


def test_an_enclosed_message_at_the_top_is_part_one_with_its_header() -> None:
    raw = b"Content-Type: message/rfc822\n\nSubject: dalam\n\nisi\n"
    assert get(raw, 1) == b"Subject: dalam\r\n\r\nisi\r\n"
    assert get(raw, 1, kind="TEXT") == b"isi\r\n"
    assert get(raw, 1, 1) == b"isi\r\n"


def test_nul_is_not_sent() -> None:
    assert get(b"A: b\n\nx\0y\n", kind="TEXT") == b"x\x80y\r\n"


@pytest.mark.parametrize("line", [b"x\n", b"x\r\n", b"\r\n\n", b"\n", b"\r"])
def test_a_large_text_is_the_same_at_any_offset(line: bytes) -> None:
    """CR LF across the borders of the pieces that are read, and of the index."""
    raw = (b"y" + line * (3 * PIECE_BYTES))[: 2 * PIECE_BYTES + 17]
    text, whole = Text(raw), crlf(raw)
    assert text.size(0, len(raw)) == len(whole)
    assert text.lines(0, len(raw)) == raw.count(b"\n")
    assert b"".join(text.pieces(0, len(raw))) == whole
    for border in (MARK_BYTES, 2 * MARK_BYTES, PIECE_BYTES, 2 * PIECE_BYTES):
        for offset in range(border - 2, border + 3):
            assert b"".join(text.pieces(0, len(raw), offset, 9)) == whole[offset : offset + 9]
            bare = raw.count(b"\n", 0, offset) - raw.count(b"\r\n", 0, offset)
            assert text.size(0, offset) == offset + bare


def test_a_large_message_is_sent_in_pieces() -> None:
    raw = b"A: b\n\n" + b"\n" * (1 << 20)
    pieces = list(mail.section(mail.parse(raw), mail.SectionSpec()) or ())
    assert max(map(len, pieces)) <= 512 << 10
    assert b"".join(pieces) == crlf(raw)
