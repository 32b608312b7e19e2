"""A restore as root left a message that is root's: the others are there, and the log names the file and the right."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cases.conftest import NAME, Case
from tests.support.deployment import eventually
from tests.support.needs import missing
from tests.support.talk import Talk


@pytest.fixture
def unreadable(case: Case) -> Iterator[Path]:
    if os.geteuid() != 0:
        missing("uid 0, to give a file to somebody else")
    case.put("c32ok.host:2,S", b"Subject: ok\n\nbodyc32\n")
    path = case.put("c32bad.host:2,S", b"Subject: bad\n\nbodyc32\n")
    os.chown(path, 0, 0)
    yield path
    path.unlink()


def refusal(case: Case, door: str, path: Path) -> str:
    """The log's line about the file."""
    log = case.mail.directory / "log" / door / "current"
    line = re.compile(f".* refused file {NAME}: {re.escape(str(path))}: .*")
    found = eventually(lambda: log.exists() and line.search(log.read_text(errors="replace")), f"{path.name} in {log}")
    assert isinstance(found, re.Match)
    return str(found[0])


def test_search_finds_the_others_and_the_log_names_the_file(case: Case, unreadable: Path) -> None:
    with case.imap() as session:
        answer = session.imap(b"SEARCH TEXT bodyc32")
        assert re.search(rb"\* SEARCH \d+\r\n", answer) and b"a OK" in answer
        assert b"a NO" in session.imap(b"FETCH 1:* BODY.PEEK[HEADER]")
    assert "it belongs to uid 0, gid 0, mode 0600" in refusal(case, "imapd", unreadable)


def test_pop3_names_the_file_too(case: Case, unreadable: Path) -> None:
    with case.pop3() as session:
        count = int(session.pop3(b"STAT").split()[1])
        assert not all(top(session, number) for number in range(1, count + 1))
    assert "Permission denied" in refusal(case, "qmail-pop3d", unreadable)


def top(session: Talk, number: int) -> bool:
    """Whether the header of a message is given."""
    if session.pop3(b"TOP %d 0" % number).startswith(b"-ERR"):
        return False
    while session.line() not in (b".\r\n", b""):
        pass
    return True
