"""The role delivery-remote as a process against the real bus, a real SMTP server and a real name server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from qmail.bus.connect import connect
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.nodes import NodeLease
from qmail.bus.ports import Message
from qmail.control.paths import Paths, read_paths
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from tests.support.bus_server import BusServer
from tests.support.dnsserver import DnsServer
from tests.support.drafts import INVOKED, make_draft

SECONDS = 60.0
LARGE = b"Subject: large\n\n" + b".0123456789abcd\n" * 80_000


class Far:
    """The far end: keeps every message."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 kept"


async def put(bus: JetStreamBus, body: bytes) -> int:
    ids = IdSource()
    lease = NodeLease(bus, ids)
    await lease.claim()
    submission = Submitter(bus, ids).begin()
    await submission.write(body)
    envelope = await submission.commit(make_draft(b"joe@remote.org"), INVOKED)
    await lease.release()
    return envelope.id


class Scheduler:
    """The queue's side: gives jobs, confirms reports."""

    def __init__(self, bus: JetStreamBus) -> None:
        self._bus = bus
        self._reports: asyncio.Queue[Message] = asyncio.Queue()
        self._heartbeats: asyncio.Queue[Message] = asyncio.Queue()

    async def begin(self) -> None:
        await self._bus.subscribe("report.remote", self._reports.put_nowait)
        await self._bus.subscribe("heartbeat.remote", self._heartbeats.put_nowait)
        await asyncio.wait_for(self._heartbeats.get(), SECONDS)  # the role is there

    async def _report_of(self, number: int) -> dict[str, Any]:
        """One of the message before is repeated where its confirmation came late."""
        while True:
            report: dict[str, Any] = json.loads((await asyncio.wait_for(self._reports.get(), SECONDS)).payload)
            if any(key == number for key, *_ in report["reports"]):
                return report

    async def deliver(self, number: int, recipient: str) -> tuple[str, str]:
        jobs = {"v": 1, "epoch": 1, "jobs": [[number, 0, 1, False, [0, number, 0, 0], "ari@xeris.com", recipient]]}
        self._bus.publish("job.remote", json.dumps(jobs).encode())
        report = await self._report_of(number)
        ((*key, letter, text),) = report["reports"]
        assert key == [number, 0, 1]
        confirmed = json.dumps({"v": 1, "epoch": 1, "confirmed": [key]}).encode()
        self._bus.publish(f"confirm.remote.{report['worker']}", confirmed)
        return letter, text


async def use(paths: Paths, environ: dict[str, str]) -> None:
    far = Far()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(far, hostname="remote.org"), "127.0.0.1", 0)
    (paths.control / "smtproutes").write_text(f"remote.org:mx.remote.org:{server.sockets[0].getsockname()[1]}\n")
    smtpd, queue = [await connect(role, paths, environ) for role in ("smtpd", "queue")]
    scheduler = Scheduler(queue)
    await scheduler.begin()
    accepted = ("K", "127.0.0.1 accepted message.\nRemote host said: 250 kept\n")
    for body in (b"Subject: tes\n\nNgetes aaah ....\n", LARGE):
        number = await put(smtpd, body)
        assert await scheduler.deliver(number, "joe@remote.org") == accepted
        content = far.envelopes[-1].content
        assert isinstance(content, bytes)
        assert content.startswith(b"Received: (qmail %d invoked from network); " % number)
        assert content.endswith(body.replace(b"\n", b"\r\n"))
    number = await put(smtpd, b"x\n")
    lost = ("D", "Sorry, I couldn't find any host named nowhere.org. (#5.1.2)\n")
    assert await scheduler.deliver(number, "joe@nowhere.org") == lost
    partial = await put(smtpd, b"no newline at the end")
    assert (await scheduler.deliver(partial, "joe@remote.org"))[0] == "D"
    server.close()
    for bus in (smtpd, queue):
        await bus.close()


async def run_role(root: Path, bus: BusServer) -> int:
    """Use the role, then end it as the engine does; its exit code."""
    dns = DnsServer({"mx.remote.org": [["A", "127.0.0.1"]]})
    await dns.start()
    environ = {"QMAIL_DIR": str(root), "BUS_URL": bus.url, "DNS_SERVER": f"127.0.0.1:{dns.port}"}
    role = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.delivery.remote"),
        env=os.environ | environ,
        cwd=Path(__file__).parents[2],
    )
    try:
        await use(read_paths(environ), environ)
        role.send_signal(signal.SIGALRM)
    finally:
        role.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(role.wait(), SECONDS)
    dns.stop()
    return code


def test_the_role_sends_mail_reports_and_ends_in_order(tmp_path: Path) -> None:
    for name in ("control", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "control/me").write_text("mail.xeris.com\n")
    server = BusServer(tmp_path)
    server.start()
    try:
        server.make_streams()
        assert asyncio.run(run_role(tmp_path, server)) == 0
    finally:
        server.stop()
