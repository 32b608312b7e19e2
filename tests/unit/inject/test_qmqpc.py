"""qmail-qmqpc: qmail-queue's interface, the servers in turn, and its exit codes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qmail.message.qmqp import netstring
from services.inject.qmqpc import parse_envelope
from tests.support.source import ROOT

MESSAGE, ENVELOPE = b"Subject: x\n\nbody\n", b"Fari@xeris.com\0Tjoe@far.org\0\0"
REQUEST = netstring(b"".join(map(netstring, (MESSAGE, b"ari@xeris.com", b"joe@far.org"))))


@contextmanager
def server(answer: bytes, seen: list[bytes]) -> Iterator[int]:
    """Takes one request and answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                received = b""
                while len(received) < len(REQUEST):
                    received += connection.recv(65536)
                seen.append(received)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def qmqpc(directory: Path, envelope: bytes = ENVELOPE) -> int:
    """The program's exit code, the message on descriptor 0 and the envelope on 1."""
    (directory / "envelope").write_bytes(envelope)
    with open(directory / "envelope", "rb") as first:
        return subprocess.run(
            [sys.executable, "-m", "services.inject.qmqpc"],
            cwd=ROOT,
            env={**os.environ, "QMAIL_DIR": str(directory)},
            input=MESSAGE,
            stdout=first.fileno(),
            timeout=60,
            check=False,
        ).returncode


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("mail.xeris.com\n")
    return tmp_path


@pytest.mark.parametrize(("answer", "code"), [(b"Kok", 0), (b"Dno", 31), (b"Znot now", 71), (b"X", 91)])
def test_the_answer_of_the_first_that_is_there(directory: Path, answer: bytes, code: int) -> None:
    seen: list[bytes] = []
    with server(netstring(answer), seen) as port:
        (directory / "control" / "qmqpservers").write_text(f"127.0.0.1:1\n127.0.0.1:{port}\n")
        assert qmqpc(directory) == code
    assert seen == [REQUEST]


def test_no_server_and_none_that_is_there_and_no_envelope(directory: Path) -> None:
    assert qmqpc(directory) == 55
    (directory / "control" / "qmqpservers").write_text("127.0.0.1:1\n")
    assert qmqpc(directory) == 74
    assert qmqpc(directory, b"ari\0") == 91


@pytest.mark.parametrize("envelope", [b"", b"F\0", b"Fa\0Tb\0", b"Fa\0b\0\0", b"Ta\0Tb\0\0", b"Fa\0Tb\0\0\0"])
def test_what_is_no_envelope(envelope: bytes) -> None:
    assert parse_envelope(envelope) is None
    assert parse_envelope(b"F\0Ta\0Tb\0\0") == (b"", [b"a", b"b"])
