"""smtpd as it is started, two processes of it, against a real bus with its real rights."""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qmail.message.envelope import decode_envelope
from tests.support.bus_server import BusServer
from tests.support.deployment import eventually
from tests.support.ports import free_port
from tests.support.source import ROOT

START_SECONDS = 90.0


class Smtpd:
    """The role's program and its output."""

    def __init__(self, directory: Path, bus: BusServer, **environ: str) -> None:
        self.port = free_port()
        settings = {
            "QMAIL_DIR": str(directory),
            "BUS_URL": bus.url,
            "SMTP_LISTEN": f"127.0.0.1:{self.port}",
            "SUBMISSION_LISTEN": "",
            "PROCESSES": "2",
            **environ,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.smtpd"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def wait_until_it_answers(self) -> None:
        def answers() -> bool:
            try:
                smtplib.SMTP("127.0.0.1", self.port, timeout=30).quit()
                return True
            except (OSError, smtplib.SMTPException):
                assert self.process.poll() is None, self.output()
                return False

        eventually(answers, "smtpd answers", START_SECONDS)

    def output(self) -> str:
        """All that it wrote; only once it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[BusServer]:
    server = BusServer(tmp_path)
    server.start()
    server.make_streams()
    yield server
    server.stop()


@pytest.fixture
def control(tmp_path: Path) -> Path:
    directory = tmp_path / "control"
    directory.mkdir()
    for name in ("me", "rcpthosts", "locals"):
        (directory / name).write_text("xeris.com\n")
    return directory


@pytest.fixture
def smtpd(tmp_path: Path, bus: BusServer, control: Path) -> Iterator[Smtpd]:
    program = Smtpd(tmp_path, bus)
    program.wait_until_it_answers()
    yield program
    program.end()


def stored(bus: BusServer) -> list[bytes]:
    """The bodies' sizes and senders, straight from the stream as admin sees it."""
    import asyncio

    import nats

    async def read() -> list[bytes]:
        client = await nats.connect(bus.url, user="admin", password=bus.password("admin"), inbox_prefix="_INBOX_admin")
        answer = await client.request("$JS.API.STREAM.INFO.IN", b'{"subjects_filter": ">"}', timeout=30)
        found = []
        for subject in json.loads(answer.data)["state"].get("subjects", {}):
            question = json.dumps({"last_by_subj": subject}).encode()
            record = json.loads((await client.request("$JS.API.STREAM.MSG.GET.IN", question, timeout=30)).data)
            headers = base64.b64decode(record["message"]["hdrs"]).decode()
            value = headers.split("Qmail-Envelope: ", 1)[1].split("\r\n", 1)[0]
            found.append(decode_envelope(base64.b64decode(value)).sender.raw)
        await client.close()
        return found

    return asyncio.run(read())


def send(port: int, sender: str, body: str = "Subject: x\n\nb\n") -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=90) as client:
        client.sendmail(sender, ["joni@xeris.com"], body)


def test_messages_are_on_the_bus_when_250_is_said(bus: BusServer, smtpd: Smtpd) -> None:
    senders = [f"s{n}@x" for n in range(12)]
    for sender in senders:
        send(smtpd.port, sender)
    send(smtpd.port, "large@x", "Subject: large\n\n" + ("x" * 70 + "\n") * 30_000)
    assert sorted(stored(bus)) == sorted(s.encode() for s in [*senders, "large@x"])
    assert smtpd.end() == 0
    assert "tcpserver: status: 1/50" in smtpd.output()


def test_bus_away_is_a_451_and_mail_flows_again_when_it_is_back(bus: BusServer, smtpd: Smtpd) -> None:
    send(smtpd.port, "before@x")
    bus.stop(signal.SIGKILL)
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        send(smtpd.port, "away@x")
    assert refused.value.smtp_code == 451
    bus.start()

    def taken() -> bool:
        try:
            send(smtpd.port, "after@x")
        except smtplib.SMTPServerDisconnected:
            return False
        except smtplib.SMTPResponseException as error:
            assert error.smtp_code == 451
            return False
        return True

    eventually(taken, "mail is taken again", 90)
    assert sorted(set(stored(bus))) == [b"after@x", b"before@x"]


def test_both_processes_serve_and_a_killed_one_is_replaced(smtpd: Smtpd) -> None:
    children = Path(f"/proc/{smtpd.process.pid}/task/{smtpd.process.pid}/children")

    def two() -> list[int] | None:
        found = [int(pid) for pid in children.read_text().split()]
        return found if len(found) == 2 else None

    first = eventually(two, "both processes")
    handle = os.pidfd_open(first[0])
    os.kill(first[0], signal.SIGKILL)
    assert select.select([handle], [], [], 60)[0]
    os.close(handle)
    smtpd.wait_until_it_answers()
    for _ in range(10):
        send(smtpd.port, "a@x")


def test_bad_configuration_is_refused_with_file_line_and_what_was_expected(
    tmp_path: Path, bus: BusServer, control: Path
) -> None:
    (control / "databytes").write_text("much\n")
    (control / "tcp.smtp").write_text("# rules\n127.:permit\n")
    program = Smtpd(tmp_path, bus)
    assert program.process.wait(90) == 78
    output = program.output()
    assert "databytes:1: expected a number of bytes, found 'much'" in output
    assert "tcp.smtp:2: expected allow or deny after the colon, found 'permit'" in output


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("filter.py", "smtpdhandler:1: expected package.module:Class, found 'filter.py'"),
        ("acme.nowhere:Filter", "smtpdhandler:1: expected a handler written for aiosmtpd, found acme.nowhere:Filter: "),
        ("abc:nothing", "smtpdhandler:1: expected a handler written for aiosmtpd, found abc:nothing: AttributeError: "),
    ],
)
def test_a_handler_that_cannot_be_is_refused_at_the_start(
    tmp_path: Path, bus: BusServer, control: Path, name: str, found: str
) -> None:
    (control / "smtpdhandler").write_text(name + "\n")
    program = Smtpd(tmp_path, bus)
    assert program.process.wait(90) == 78
    assert found in program.output()


def test_a_handler_that_cannot_be_made_ends_all_processes(tmp_path: Path, bus: BusServer, control: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "broken.py").write_text(
        "class Broken:\n    def __init__(self):\n        raise OSError('x')\n"
    )
    (control / "smtpdhandler").write_text("broken:Broken\n")
    program = Smtpd(tmp_path, bus)
    assert program.process.wait(90) == 78
    assert (
        "smtpdhandler:1: expected a handler written for aiosmtpd, found broken:Broken: OSError: x" in program.output()
    )
