"""A whole deployment under docker compose, for the tests: its own project, address and subnet, removed afterwards."""

from __future__ import annotations

import imaplib
import os
import poplib
import smtplib
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from testcontainers.compose import DockerCompose

ROOT = Path(__file__).resolve().parents[2]
ROLES = (
    "smtpd", "queue", "delivery-local", "delivery-remote", "auth", "pop3", "imap", "log", "dns", "bus", "admin",
)  # fmt: skip
SETTINGS = ("ME", "ADDRESS", "SUBNET", "ADMIN_USER", "COMPOSE_PROJECT_NAME")
PATIENCE_SECONDS = 180.0
LOOK_AGAIN_SECONDS = 0.2

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """What `look` finds, as soon as it finds something; raises AssertionError after `seconds`."""
    pause = threading.Event()
    ends = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < ends, f"{what}: not within {seconds} seconds"
        pause.wait(LOOK_AGAIN_SECONDS)


def unverified() -> ssl.SSLContext:
    """A fresh deployment's certificate is self-signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One project on the engine. `subnet` is the first three numbers of its networks."""

    project: str
    me: str
    address: str
    subnet: str
    compose: DockerCompose

    @property
    def domain(self) -> str:
        """The mail domain."""
        return self.me.partition(".")[2]

    def run(self, service: str, *argv: str, stdin: str = "", user: str = "") -> str:
        """Standard output of a command in a role's container. Raises AssertionError with what it said if it fails."""
        done = self.try_run(service, *argv, stdin=stdin, user=user)
        assert done.returncode == 0, f"{service}: {argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def try_run(self, service: str, *argv: str, stdin: str = "", user: str = "") -> subprocess.CompletedProcess[str]:
        """A command in a role's container, which may fail."""
        who = ("--user", user) if user else ()
        command = [*self.compose.compose_command_property, "exec", "-T", *who, service, *argv]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=ROOT, timeout=180)

    def control(self, *argv: str) -> str:
        """`docker compose ...` for this project; raises CalledProcessError."""
        command = [*self.compose.compose_command_property, *argv]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=600).stdout

    def logs(self, service: str) -> str:
        """What a role has said so far."""
        return self.control("logs", "--no-color", "--no-log-prefix", service)

    def useradd(self, name: str, password: str) -> None:
        """Make an account with a Maildir."""
        self.run("admin", "qmailctl", "useradd", name, stdin=f"{password}\n")

    def send(self, sender: str, recipients: list[str], message: str) -> None:
        """By SMTP, as a stranger would."""
        with smtplib.SMTP(self.address, 25, timeout=60) as client:
            client.sendmail(sender, recipients, message)

    def submit(self, user: str, password: str, recipients: list[str], message: str) -> None:
        """By submission with TLS and a password, as a user's mail program would."""
        with smtplib.SMTP(self.address, 587, timeout=60) as client:
            client.starttls(context=unverified())
            client.login(user, password)
            client.sendmail(f"{user}@{self.domain}", recipients, message)

    def messages(self, user: str, password: str) -> list[bytes]:
        """All messages in the mailbox, by POP3."""
        client = poplib.POP3_SSL(self.address, 995, timeout=60, context=unverified())
        try:
            client.user(user)
            client.pass_(password)
            count = len(client.list()[1])
            return [b"\n".join(client.retr(number)[1]) for number in range(1, count + 1)]
        finally:
            client.quit()

    def messages_by_now(self, user: str, password: str) -> list[bytes]:
        """The same; none where the door cannot say just now."""
        try:
            return self.messages(user, password)
        except (poplib.error_proto, EOFError, OSError):
            return []

    def message_with(self, user: str, password: str, text: bytes) -> bytes:
        """The message that holds `text`, waited for."""

        def look() -> bytes | None:
            return next((message for message in self.messages_by_now(user, password) if text in message), None)

        return eventually(look, f"a message with {text!r} for {user}")

    @contextmanager
    def imap(self, user: str, password: str) -> Iterator[imaplib.IMAP4_SSL]:
        """A session with INBOX selected."""
        client = imaplib.IMAP4_SSL(self.address, 993, ssl_context=unverified(), timeout=60)
        try:
            client.login(user, password)
            client.select("INBOX")
            yield client
        finally:
            client.logout()


@contextmanager
def deployed(
    directory: Path,
    *,
    project: str,
    me: str,
    address: str,
    subnet: str,
    prepare: Callable[[Deployment], None] | None = None,
) -> Iterator[Deployment]:
    """Build and start a deployment; whatever happens, nothing of it is left on the engine.

    `prepare` is called when its volumes are there, and nothing has been started."""
    env_file = directory / f"{project}.env"
    env_file.write_text(f"COMPOSE_PROJECT_NAME={project}\nME={me}\nADDRESS={address}\nSUBNET={subnet}\n")
    # The environment would win over the file.
    for name in SETTINGS:
        os.environ.pop(name, None)
    compose = DockerCompose(ROOT, build=True, env_file=str(env_file))
    deployment = Deployment(project=project, me=me, address=address, subnet=subnet, compose=compose)
    compose.stop()
    try:
        if prepare is not None:
            deployment.control("create", "--build")
            prepare(deployment)
        compose.start()
        yield deployment
    finally:
        compose.stop()
