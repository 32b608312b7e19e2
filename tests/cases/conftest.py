"""Cases from public reports of people who run mail systems: each is tried on one deployment that all of them share.

A test that changes control files or stops roles takes a deployment of its own (tests.support.mail_run.mail_run).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mail_run import MailRun, mail_run
from tests.support.talk import Talk

NAME = "joni"
PASSWORD = f"{NAME}pass"


class Case:
    """The shared deployment as one of its people, joni, sees it."""

    def __init__(self, mail: MailRun) -> None:
        self.mail = mail
        self.home = mail.directory / "home" / NAME
        self.maildir = mail.maildir(NAME)

    def talk(self, door: str) -> Talk:
        """A connection to a door: smtp, submission, pop3, imap."""
        return Talk(self.mail.run.ports[f"{door.upper()}_PORT"])

    def imap(self, folder: bytes = b"INBOX") -> Talk:
        """An IMAP session of joni's, a folder selected where one is named."""
        session = self.talk("imap")
        assert b"a OK" in session.imap(f"LOGIN {NAME} {PASSWORD}".encode())
        if folder:
            assert b"a OK" in session.imap(b"SELECT " + folder)
        return session

    def pop3(self) -> Talk:
        """A POP3 session of joni's."""
        session = self.talk("pop3")
        session.pop3(b"USER " + NAME.encode())
        assert session.pop3(b"PASS " + PASSWORD.encode()).startswith(b"+OK")
        return session

    def put(self, name: str, message: bytes, folder: str = "cur", mailbox: str = ".") -> Path:
        """A message file that stands in joni's Maildir or a folder of it as if it had been restored there."""
        path = self.maildir / mailbox / folder / f"{time.time():.0f}.{name}"
        path.write_bytes(message)
        self.own(path)
        return path

    def own(self, path: Path, mode: int = 0o600) -> None:
        """Make a file joni's."""
        owner = self.home.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(mode)

    def dot_qmail(self, extension: str, text: str) -> None:
        """joni's .qmail-EXTENSION."""
        path = self.home / f".qmail-{extension}"
        path.write_text(text)
        self.own(path)

    def logs(self) -> str:
        """All log files of the deployment, and what the roles said on standard error."""
        files = [*(self.mail.directory / "log").rglob("current"), self.mail.run.log]
        return "".join(path.read_text(errors="replace") for path in files)


@pytest.fixture(scope="session")
def case() -> Iterator[Case]:
    with mail_run() as mail:
        mail.start()
        mail.useradd(NAME)
        yield Case(mail)
