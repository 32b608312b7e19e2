"""Every role as a process: how it starts with a bad setting, hears TERM while it waits for the bus, and ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qmail.role.health import FILE
from tests.support.bus_server import BusServer
from tests.support.deployment import eventually
from tests.support.ports import free_port
from tests.support.silent_bus import SilentBus
from tests.support.source import ROOT

USERS = {
    "services.smtpd": "smtpd",
    "services.queue": "queue",
    "services.queue.bounce": "bounce",
    "services.delivery.local": "delivery-local",
    "services.delivery.remote": "delivery-remote",
    "services.auth": "auth",
    "services.pop3": "pop3",
    "services.imap": "imap",
    "services.log": "log",
}
AS_ROOT = os.geteuid() == 0
STARTS_SECONDS = 90.0
# Nothing has begun, so nothing is waited for; without the signal a role waits for ever.
ENDS_SECONDS = 30.0

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program on this bus, in a directory that has all that a role needs."""
    for name in ("control", "users", "auth", "credentials", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "control/me").write_text("mail.xeris.com\n")
    (tmp_path / "users/assign").write_text(".\n")
    (tmp_path / "credentials/http.token").write_text("token\n")
    for user in USERS.values():
        (tmp_path / f"credentials/{user}.bus").write_text(f"{user} password\n")
    with ExitStack() as stack:

        def begin(program: str, bus_url: str, **environ: str) -> subprocess.Popen[bytes]:
            listen = {f"{name}_LISTEN": f"127.0.0.1:{free_port()}" for name in ("SMTP", "POP3", "IMAP", "HTTP")}
            process = subprocess.Popen(
                [sys.executable, "-m", program],
                env={
                    **{name: value for name, value in os.environ.items() if name != "DNS_SERVER"},
                    "QMAIL_DIR": str(tmp_path),
                    "BUS_URL": bus_url,
                    "IDENTITY": "per-user" if AS_ROOT else "single",
                    "SUBMISSION_LISTEN": "",
                    **listen,
                    **environ,
                },
                cwd=ROOT,
                stderr=subprocess.PIPE,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield begin


@pytest.mark.parametrize("program", USERS)
def test_term_is_heard_while_the_bus_does_not_answer(start: Start, program: str) -> None:
    with SilentBus(speaks=False) as bus:
        process = start(program, bus.url)
        bus.wait_for(b"(connected)", STARTS_SECONDS)
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 0
        assert process.stderr is not None and process.stderr.read() == b""


@pytest.mark.parametrize(
    ("program", "processes"),
    [
        ("services.smtpd", "1"),
        ("services.smtpd", "2"),
        ("services.queue", "1"),
        ("services.queue.bounce", "1"),
        ("services.delivery.local", "1"),
    ],
)
def test_term_is_heard_while_the_streams_are_missing(start: Start, program: str, processes: str) -> None:
    with SilentBus(speaks=True) as bus:
        process = start(program, bus.url, PROCESSES=processes)
        bus.wait_for(b"$JS.API.STREAM.INFO.IN", STARTS_SECONDS)
        process.terminate()
        assert process.wait(ENDS_SECONDS) == 0


def test_a_queue_that_stands_by_hears_term_and_so_does_the_one_that_works(start: Start, tmp_path: Path) -> None:
    bus = BusServer(tmp_path)
    bus.start()
    try:
        bus.make_streams()
        runs = [tmp_path / "run" / name for name in ("works", "stands-by")]
        queues = []
        for run in runs:
            run.mkdir()
            queues.append(start("services.queue", bus.url, RUN_DIR=str(run)))
            eventually((run / FILE).exists, f"{run.name} is healthy")
        for queue in reversed(queues):
            queue.terminate()
            assert queue.wait(STARTS_SECONDS) == 0
    finally:
        bus.stop()


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        ("services.smtpd", "SMTP_LISTEN", "25"),
        ("services.smtpd", "PROCESSES", "0"),
        ("services.smtpd", "DNS_SERVER", "dns"),
        ("services.queue", "HTTP_LISTEN", "127.0.0.1:70000"),
        ("services.queue", "DNS_SERVER", "dns"),
        ("services.delivery.local", "IDENTITY", "nobody"),
        ("services.delivery.remote", "DNS_SERVER", "dns"),
        ("services.pop3", "POP3_LISTEN", "110"),
        ("services.pop3", "ADDRESS", "mail"),
        ("services.pop3", "IDENTITY", "nobody"),
        ("services.imap", "IMAP_LISTEN", "143"),
        ("services.imap", "IDENTITY", "nobody"),
        ("services.admin", "ADDRESS", "mail"),
    ],
)
def test_a_bad_setting_ends_the_start_with_78(start: Start, program: str, name: str, value: str) -> None:
    process = start(program, "nats://127.0.0.1:1", **{name: value})
    _, said = process.communicate(timeout=STARTS_SECONDS)
    assert process.returncode == 78
    title = program.removeprefix("services.").replace(".", "-")
    assert re.fullmatch(rf"{title}: fatal: {name}.*expected .*\n", said.decode()), said


@pytest.mark.parametrize(("program", "user"), USERS.items())
def test_without_credentials_trying_again_may_help(start: Start, tmp_path: Path, program: str, user: str) -> None:
    (tmp_path / f"credentials/{user}.bus").unlink()
    process = start(program, "nats://127.0.0.1:1")
    _, said = process.communicate(timeout=STARTS_SECONDS)
    assert process.returncode == 111
    assert re.fullmatch(rf"[a-z ]+[a-z0-9-]*: fatal: .*/{user}\.bus: expected one line .*\n", said.decode()), said
