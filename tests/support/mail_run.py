"""`make run` for tests that need its own circumstances: accounts, mail by SMTP, what arrived, the queue's state."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import queue_http
from tests.support.deployment import eventually
from tests.support.make_run import MakeRun
from tests.support.source import ROOT

HOST = "127.0.0.1"
LOGGED_SECONDS = 120.0
DRAINED_SECONDS = 120.0
NUMBER = re.compile(rb"^X-Number: (\d+)", re.MULTILINE)


class MailRun:
    """One deployment below a directory that every role's uid may enter."""

    def __init__(self, directory: Path, **environ: str) -> None:
        self.run = MakeRun(directory / "var", (), **environ)
        self.directory = self.run.directory

    def start(self) -> None:
        """Start, and let nothing wait for a reader of its output."""
        self.run.start()
        self.run.drain()

    def qmailctl(self, *argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """The command as a person types it."""
        return subprocess.run(
            [str(ROOT / "qmailctl"), *argv],
            env=self.run.environ,
            input=text,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def useradd(self, name: str) -> None:
        """An account whose password is its name and `pass`."""
        done = self.qmailctl("useradd", name, text=f"{name}pass\n")
        assert done.returncode == 0, done.stderr

    def send(self, number: int, recipient: str = "ari@xeris.com", size_bytes: int = 500) -> int:
        """Send a numbered message; 250, the code that refused it, or 0 where there was no answer."""
        body = ("y" * 70 + "\r\n") * (size_bytes // 72)
        try:
            with smtplib.SMTP(HOST, self.run.ports["SMTP_PORT"], timeout=60) as client:
                client.sendmail("ari@xeris.com", [recipient], f"Subject: x\r\nX-Number: {number}\r\n\r\n{body}")
        except smtplib.SMTPRecipientsRefused as error:
            return error.recipients[recipient][0]
        except smtplib.SMTPResponseException as error:
            return error.smtp_code
        except (OSError, smtplib.SMTPException):
            return 0
        return 250

    def talk(self, text: bytes, *, hang_up: bool = False) -> bytes:
        """Bytes to the SMTP door as they are; all that it says until it closes."""
        with socket.create_connection((HOST, self.run.ports["SMTP_PORT"]), timeout=60) as client:
            client.sendall(text)
            if hang_up:
                client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def maildir(self, name: str) -> Path:
        """An account's Maildir."""
        return self.directory / "home" / name / "Maildir"

    def messages(self, name: str, folder: str = "new") -> list[bytes]:
        """What lies in a folder of the Maildir."""
        paths = sorted((self.maildir(name) / folder).iterdir())
        return [path.read_bytes() for path in paths]

    def numbers(self, name: str) -> list[int]:
        """The X-Numbers of what arrived, sorted."""
        return sorted(int(match[1]) for text in self.messages(name) if (match := NUMBER.search(text)))

    def log(self) -> str:
        """The queue's log as it was written so far."""
        return (self.directory / "log" / "qmail" / "current").read_text(errors="replace")

    def logged(self, text: str) -> None:
        """Wait for a text in the queue's log."""
        eventually(lambda: text in self.log(), f"{text!r} in the log", LOGGED_SECONDS)

    def logged_after(self, began: int, text: str, times: int) -> None:
        """Wait until a text stands so many times in the queue's log behind its first `began` characters."""
        eventually(
            lambda: self.log()[began:].count(text) >= times, f"{text!r} {times} times in the log", LOGGED_SECONDS
        )

    def status(self) -> dict[str, Any]:
        """The queue's state; {} while nobody answers."""
        return queue_http.status(self.run)

    def queued(self) -> list[dict[str, Any]]:
        """The queue's entries, oldest first. Raises KeyError while nobody answers."""
        found: list[dict[str, Any]] = queue_http.ask(self.run, "/queue?limit=1000")["messages"]
        return found

    def drained(self) -> None:
        """Wait until the queue is empty."""
        eventually(lambda: queue_http.is_empty(self.run), "an empty queue", DRAINED_SECONDS)

    def pid(self, program: str) -> int:
        """Of a role's program, as RIGHTS.toml names it, or nats-server."""
        return self.run.roles()[program]

    def kill(self) -> None:
        """Every process at once, the supervisor first, so that it starts none again."""
        process = self.run.process
        assert process is not None
        pids = list(self.run.roles().values()) if process.poll() is None else []
        process.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        process.wait()

    def signal(self, program: str, number: int) -> None:
        """To a role and whatever it has started."""
        os.killpg(self.pid(program), number)


@contextmanager
def mail_run(**environ: str) -> Iterator[MailRun]:
    """A deployment that is not started yet; ended and removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="qmail-run-"))
    directory.chmod(0o755)
    deployment = MailRun(directory, **environ)
    try:
        yield deployment
    finally:
        if deployment.run.process is not None:
            deployment.run.stop()
        shutil.rmtree(directory)


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A file system of its own at `directory`. Only root can mount, and not everywhere: raises CalledProcessError."""
    directory.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(directory)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """Take all the room that is left; the file to remove."""
    path = directory / "filler"
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 512, 1):
            try:
                while file.write(b"0" * size):
                    pass
            except OSError:
                continue
    return path
