"""A telephone loads a large attachment in pieces of 64 kB: each costs what it is, not what the message is."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

from tests.cases.conftest import Case

PIECE = 65_536
PIECES = 60


def octets_read(case: Case) -> int:
    """By the imap role so far (proc_pid_io(5): rchar)."""
    lines = Path(f"/proc/{case.mail.pid('services.imap')}/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


def test_an_attachment_in_pieces_costs_what_the_pieces_are(case: Case) -> None:
    attachment = base64.encodebytes(os.urandom(18_000_000))
    head = b"Subject: c42\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nhi\n--b\n"
    part = b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n"
    path = case.put("c42.host:2,", head + part + attachment + b"--b--\n")
    with case.imap() as session:
        found = re.search(rb"\* SEARCH (\d+)", session.imap(b"SEARCH SUBJECT c42"))
        assert found
        item = b"FETCH %b BODY.PEEK[2]" % found[1]
        before = octets_read(case)
        whole = session.imap(item)
        for_the_whole = octets_read(case) - before
        pieces = [session.imap(b"%b<%d.%d>" % (item, number * PIECE, PIECE)) for number in range(PIECES)]
        for_pieces = octets_read(case) - before - for_the_whole
    path.unlink()
    start = whole.index(b"}\r\n") + 3
    for number, piece in enumerate(pieces):
        at = piece.index(b"}\r\n") + 3
        assert piece[at : at + PIECE] == whole[start + number * PIECE : start + (number + 1) * PIECE]
    assert len(whole) < for_the_whole
    assert for_pieces < 10 * PIECES * PIECE
