"""Other people's mail programs against one deployment, without a person."""

from __future__ import annotations

import imaplib
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate, make_msgid
from pathlib import Path

from tests.support.deployment import eventually, unverified
from tests.support.make_run import MakeRun
from tests.support.needs import need

HOST = "127.0.0.1"
DOMAIN = "xeris.com"
PROGRAM_SECONDS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A person with a mail program, a password, and a directory for the program's files."""

    run: MakeRun
    name: str
    password: str
    directory: Path

    @property
    def address(self) -> str:
        """The person's mail address."""
        return f"{self.name}@{DOMAIN}"

    @property
    def certificate(self) -> Path:
        """What to trust: the deployment's own, self-signed."""
        return self.run.directory / "tls" / "cert.pem"

    def port(self, protocol: str) -> int:
        """smtp, submission, pop3, imap."""
        return self.run.ports[f"{protocol.upper()}_PORT"]

    def file(self, name: str, text: str) -> Path:
        """A file of the program, for this person's eyes."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def program(self, *argv: str, text: str = "", environ: Mapping[str, str] = {}) -> str:
        """What the program prints. Raises AssertionError with that where it fails."""
        done = self.try_program(*argv, text=text, environ=environ)
        assert done.returncode == 0, f"{argv}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def try_program(
        self, *argv: str, text: str = "", environ: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        """The program, which may fail; standard error is in the output."""
        return subprocess.run(
            [need(argv[0]), *argv[1:]],
            cwd=self.directory,
            env={**self.run.environ, "HOME": str(self.directory), "LC_ALL": "C", **environ},
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=PROGRAM_SECONDS,
            check=False,
        )

    def letter(self, subject: str, body: str = "halo") -> str:
        """A message to oneself."""
        head = f"From: {self.address}\nTo: {self.address}\nSubject: {subject}\nMessage-ID: {make_msgid()}\n"
        return f"{head}Date: {formatdate()}\n\n{body}\n"

    @contextmanager
    def imap(self, folder: str = "INBOX") -> Iterator[imaplib.IMAP4]:
        """A session of Python's own library, to see what the program has done."""
        client = imaplib.IMAP4(HOST, self.port("imap"), timeout=PROGRAM_SECONDS)
        try:
            client.starttls(unverified())
            client.login(self.name, self.password)
            client.select(folder)
            yield client
        finally:
            client.logout()

    def found(self, subject: str, folder: str = "INBOX", criteria: str = "") -> list[str]:
        """Numbers of the messages with that subject."""
        with self.imap(folder) as client:
            _, (numbers,) = client.search(None, f'SUBJECT "{subject}" {criteria}'.strip())
            return bytes(numbers).decode().split()

    def wait_for(self, subject: str, folder: str = "INBOX", criteria: str = "") -> str:
        """The number of the message with that subject, as soon as it is there."""
        return eventually(lambda: self.found(subject, folder, criteria), f"{subject} in {folder}")[-1]
