"""What a client asks of a large message costs what it asks for, not the message."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.session.results import Answer, CutShort
from tests.support.imap_commands import perform, request

PIECE = 64 * 1024
LINE = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\n"
ATTACHMENT = LINE * 100_000
HEAD = b"From: ari@xeris.com\nSubject: besar\nContent-Type: multipart/mixed; boundary=b\n"
MESSAGE = HEAD + b"\n--b\n\nhalo\n--b\nContent-Type: application/zip\n\n" + ATTACHMENT + b"--b--\n"
#: What may be read for one answer beside the octets that it gives.
SPARE = 512 * 1024


@pytest.fixture
def work(tmp_path: Path) -> Iterator[MailboxSession]:
    for part in ("cur", "new", "tmp"):
        (tmp_path / part).mkdir()
    (tmp_path / "cur" / "1.a.h:2,").write_bytes(MESSAGE)
    (tmp_path / "cur" / "2.b.h:2,").write_bytes(MESSAGE.replace(b"\n", b"\r\n"))
    work = MailboxSession(tmp_path, None)
    perform(work, b"a SELECT INBOX")
    yield work
    work.close()


def ask(work: MailboxSession, text: bytes) -> bytes:
    """The whole answer to a FETCH or SEARCH."""
    answer = perform(work, b"a " + text)
    assert answer.kind == b"OK", answer
    return b"".join(answer.lines)


def literal(answer: bytes) -> bytes:
    """The one section in an answer."""
    head = re.match(rb"\* \d+ FETCH \([^{]*\{(\d+)\}\r\n", answer)
    assert head
    return answer[head.end() : head.end() + int(head[1])]


@pytest.fixture
def octets_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    real, taken = os.pread, []

    def pread(fd: int, length: int, offset: int) -> bytes:
        octets = real(fd, length, offset)
        taken.append(len(octets))
        return octets

    monkeypatch.setattr(os, "pread", pread)
    return taken


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("section", [b"2", b"", b"TEXT"])
def test_a_piece_costs_what_the_piece_is_once_the_message_is_known(
    work: MailboxSession, octets_read: list[int], number: int, section: bytes
) -> None:
    item = b"FETCH %d BODY.PEEK[%b]" % (number, section)
    whole = literal(ask(work, item))
    assert len(whole) > 7_000_000
    got = b""
    while len(got) < len(whole):
        octets_read.clear()
        piece = literal(ask(work, b"%b<%d.%d>" % (item, len(got), PIECE)))
        assert sum(octets_read) < len(piece) + SPARE
        got += piece
    assert got == whole
    assert literal(ask(work, b"%b<%d.%d>" % (item, len(whole), PIECE))) == b""


@pytest.mark.parametrize("number", [1, 2])
def test_the_last_piece_asked_for_first_is_the_same(work: MailboxSession, number: int) -> None:
    crlf = (ATTACHMENT.replace(b"\n", b"\r\n"))[:-2]
    end = len(crlf) - 1000
    assert literal(ask(work, b"FETCH %d BODY.PEEK[2]<%d.%d>" % (number, end, PIECE))) == crlf[end:]


@pytest.mark.parametrize(
    "text",
    [
        b"FETCH 1 ENVELOPE",
        b"FETCH 1 BODY.PEEK[HEADER]",
        b"FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
        b"FETCH 1 BODY.PEEK[]<0.65536>",
        b"SEARCH SUBJECT besar",
        b"SEARCH SENTSINCE 1-Jan-2026 FROM ari",
    ],
)
def test_what_stands_in_the_header_is_found_without_the_attachment(
    work: MailboxSession, octets_read: list[int], text: bytes
) -> None:
    ask(work, text)
    assert sum(octets_read) < SPARE


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_one_large_message_at_most_is_held_open_and_none_by_who_waits_or_has_left(
    work: MailboxSession, tmp_path: Path
) -> None:
    before = open_files()
    for number in (1, 2, 1):
        ask(work, b"FETCH %d BODY.PEEK[]<0.10>" % number)
        assert open_files() == before + 1
    work.news()
    assert open_files() == before
    ask(work, b"FETCH 1 BODY.PEEK[]<0.10>")
    (tmp_path / "cur" / "1.a.h:2,").unlink()
    perform(work, b"a NOOP")
    assert open_files() == before, "what was deleted gives its room back"
    ask(work, b"FETCH 1 BODY.PEEK[]<0.10>")
    perform(work, b"a CLOSE")
    assert open_files() < before


@pytest.mark.parametrize("how", ["longer", "another"])
def test_a_file_that_is_not_what_it_was_is_looked_at_anew(work: MailboxSession, tmp_path: Path, how: str) -> None:
    path = tmp_path / "cur" / "1.a.h:2,"
    ask(work, b"FETCH 1 BODY.PEEK[2]<0.10>")
    if how == "longer":
        path.write_bytes(HEAD + b"\n--b\n\nhalo\n--b\n\nlain" + ATTACHMENT * 2)
    else:
        (tmp_path / "other").write_bytes(HEAD + b"\n--b\n\nhalo\n--b\n\nlain\n--b--\n")
        (tmp_path / "other").rename(path)
    assert literal(ask(work, b"FETCH 1 BODY.PEEK[2]<0.4>")) == b"lain"


def test_a_message_that_became_short_while_it_was_held_is_not_answered_with_other_octets(
    work: MailboxSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(work, b"FETCH 1 BODY.PEEK[2]<0.10>")
    monkeypatch.setattr("services.imap.store.known.KnownFile.unchanged", lambda _: True)  # a moment too early
    os.truncate(tmp_path / "cur" / "1.a.h:2,", 2_000_000)
    data, end = work.begin(request(b"a FETCH 1 BODY.PEEK[2]<6000000.65536>"))
    assert data == b"" and isinstance(end, Answer | CutShort)
