"""qmail-inject, sendmail and qmail-queue, as a shell starts them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qmail.message.address import Address
from qmail.queue.socket.wire import render_envelope
from tests.support.queue_socket import ListeningSocket

ROOT = Path(__file__).parents[3]


def command(
    directory: Path, module: str, arguments: list[str], stdin: bytes, **more: Any
) -> subprocess.CompletedProcess[bytes]:
    environ = {"PATH": os.environ["PATH"], "QMAIL_DIR": str(directory), "USER": "ari", **more.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", f"services.inject{module}", *arguments],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env=environ,
        check=False,
        **more,
    )


@pytest.fixture
def machine(tmp_path: Path) -> ListeningSocket:
    (tmp_path / "run").mkdir()
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("mail.xeris.com\n")
    return ListeningSocket(tmp_path / "run")


def run_command(machine: ListeningSocket, module: str, arguments: list[str], stdin: bytes) -> Any:
    directory = machine.path.parents[1]
    return asyncio.run(machine.run(lambda _: asyncio.to_thread(command, directory, module, arguments, stdin)))


def test_the_tutorials_first_mail(machine: ListeningSocket) -> None:
    done = run_command(machine, "", [], b"to:root\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    ((envelope, body),) = machine.stored()
    assert envelope.sender.raw == b"ari@mail.xeris.com"
    assert [recipient.address.raw for recipient in envelope.recipients] == [b"root@mail.xeris.com"]
    assert body.endswith(b"From: ari@mail.xeris.com\nto: root@mail.xeris.com\n")


def test_sendmail_t(machine: ListeningSocket) -> None:
    done = run_command(machine, ".sendmail", ["-t", "-f", "joe@x.org"], b"To: joni\nBcc: diva\n\nhi\n")
    assert done.returncode == 0
    ((envelope, body),) = machine.stored()
    assert envelope.sender.raw == b"joe@x.org"
    assert len(envelope.recipients) == 2
    assert b"diva" not in body


def test_crlf_on_sendmails_input_makes_no_empty_line_and_leaves_no_carriage_return(machine: ListeningSocket) -> None:
    """PHP 8's mail() ends its lines with CRLF; a CR within a line stays."""
    done = run_command(machine, ".sendmail", ["-t", "-i"], b"To: diva\r\nSubject: php\r\n\r\nsatu\r\nd\rua\r\n")
    assert done.returncode == 0
    ((_, body),) = machine.stored()
    assert body.endswith(b"To: diva@mail.xeris.com\nSubject: php\n\nsatu\nd\rua\n")


def test_sendmail_with_angle_brackets_has_the_null_sender(machine: ListeningSocket) -> None:
    assert run_command(machine, ".sendmail", ["-i", "-f", "<>", "joni"], b"Subject: cron\n\nx\n").returncode == 0
    ((envelope, _),) = machine.stored()
    assert envelope.sender.raw == b""


def test_qmail_queue_reads_two_descriptors(machine: ListeningSocket) -> None:
    # A shell gives descriptor 1 to reading, as callers of qmail-queue do.
    directory = machine.path.parents[1]
    (directory / "envelope").write_bytes(render_envelope(Address(b"a@b"), [Address(b"c@d")]))
    script = f"{sys.executable} -m services.inject.qmail_queue 1<{directory}/envelope"

    def put_by_shell() -> int:
        environ = {**os.environ, "QMAIL_DIR": str(directory)}
        return subprocess.run(["sh", "-c", script], input=b"m\n", cwd=ROOT, env=environ, check=False).returncode

    assert asyncio.run(machine.run(lambda _: asyncio.to_thread(put_by_shell))) == 0
    ((envelope, body),) = machine.stored()
    assert (envelope.sender.raw, body) == (b"a@b", b"m\n")


def test_no_socket_is_a_temporary_failure(machine: ListeningSocket) -> None:
    done = command(machine.path.parents[1], "", [], b"to:root\n")
    assert done.returncode == 111
    assert done.stderr == b"qmail-inject: fatal: unable to run qmail-queue\n"


def test_a_refusal_is_told_with_its_exit_code(machine: ListeningSocket) -> None:
    machine.limit = 5
    done = run_command(machine, "", [], b"to:root\n\nlonger than that\n")
    assert done.returncode == 100
    assert done.stderr == b"qmail-inject: fatal: mail server permanently rejected message (#5.3.0)\n"
