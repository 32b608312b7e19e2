"""The role delivery-local as a process against the real bus: jobs, reports, questions, announcements, its end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qmail.bus.connect import connect
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.nodes import NodeLease
from qmail.bus.ports import Message
from qmail.control.paths import Paths, read_paths
from qmail.message.ids import IdSource
from qmail.message.netstring import encode
from qmail.queue.put import Submitter
from tests.support.bus_server import BusServer
from tests.support.drafts import INVOKED, make_draft

PER_USER = os.geteuid() == 0
UID = 2002 if PER_USER else os.getuid()
SECONDS = 60.0
LARGE = b"Subject: large\n\n" + b"0123456789abcde\n" * 80_000


@pytest.fixture
def root() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    for name in ("control", "users", "run"):
        (root / name).mkdir()
    (root / "control/me").write_text("mail.xeris.com\n")
    (root / "control/locals").write_text("xeris.com\n")
    (root / "users/assign").write_text(f"=joni:joni:{UID}:{UID}:{root}/home/joni:::\n.\n")
    home = root / "home/joni"
    for folder in ("Maildir/tmp", "Maildir/new", "Maildir/cur"):
        (home / folder).mkdir(parents=True)
    (home / ".qmail").write_text("./Maildir/\n|cat > copy\n")
    if PER_USER:
        for path in (home, *home.rglob("*")):
            os.chown(path, UID, UID)
    home.chmod(0o700)
    yield root
    shutil.rmtree(root)


class Watcher:
    """Collects the messages of a subject."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Message] = asyncio.Queue()

    async def on(self, bus: JetStreamBus, subject: str) -> Watcher:
        await bus.subscribe(subject, self._queue.put_nowait)
        return self

    async def next(self) -> Message:
        return await asyncio.wait_for(self._queue.get(), SECONDS)


async def put(bus: JetStreamBus, body: bytes) -> int:
    ids = IdSource()
    lease = NodeLease(bus, ids)
    await lease.claim()
    submission = Submitter(bus, ids).begin()
    await submission.write(body)
    envelope = await submission.commit(make_draft(b"joni@xeris.com"), INVOKED)
    await lease.release()
    return envelope.id


async def put_as_a_program(socket: Path) -> bytes:
    """What qmail-inject in a .qmail does; the queue's answer."""
    reader, writer = await asyncio.open_unix_connection(socket)
    frames = (b"hello\n", b"", b"Fari@xeris.com\0Tdiva@xeris.com\0\0", b"")
    writer.writelines(encode(frame) for frame in frames)
    answer = await asyncio.wait_for(reader.read(), SECONDS)
    writer.close()
    return answer


async def report_of(reports: Watcher, number: int) -> dict[str, Any]:
    """The report of that message; one of the message before is repeated where its confirmation came late."""
    while True:
        report: dict[str, Any] = json.loads((await reports.next()).payload)
        if any(key == number for key, *_ in report["reports"]):
            return report


async def use(paths: Paths, environ: dict[str, str], root: Path) -> None:
    smtpd, queue, imap = [await connect(role, paths, environ) for role in ("smtpd", "queue", "imap")]
    reports = await Watcher().on(queue, "report.local")
    heartbeats = await Watcher().on(queue, "heartbeat.local")
    news = await Watcher().on(imap, f"new.{UID}")
    await heartbeats.next()  # the role is there

    answer = await smtpd.request("ask.rcpt", b'{"address": "joni@xeris.com"}', SECONDS)
    assert json.loads(answer) == {"answer": "ok"}
    answer = await smtpd.request("ask.rcpt", b'{"address": "joni@elsewhere.org"}', SECONDS)
    assert json.loads(answer) == {"answer": "unknown"}

    assert b":0 " in await put_as_a_program(root / "run/queue")
    for body in (b"Subject: tes\n\nNgetes aaah ....\n", LARGE):
        number = await put(smtpd, body)
        jobs = {
            "v": 1,
            "epoch": 1,
            "jobs": [[number, 0, 1, False, [0, number, 0, 0], "ari@xeris.com", "joni@xeris.com"]],
        }
        queue.publish("job.local", json.dumps(jobs).encode())
        report = await report_of(reports, number)
        assert report["reports"] == [[number, 0, 1, "K", "did 1+0+1\n"]]
        confirmed = json.dumps({"v": 1, "epoch": 1, "confirmed": [[number, 0, 1]]}).encode()
        queue.publish(f"confirm.local.{report['worker']}", confirmed)
        assert (await news.next()).payload == b"Maildir"
        (path,) = (root / "home/joni/Maildir/new").glob(f"*{number}0000*")
        head = b"Return-Path: <ari@xeris.com>\nDelivered-To: joni@xeris.com\nReceived: (qmail %d invoked" % number
        assert path.read_bytes().startswith(head)
        assert path.read_bytes().endswith(body)
        assert path.stat().st_uid == UID
        assert (root / "home/joni/copy").read_bytes().endswith(body)
    for bus in (smtpd, queue, imap):
        await bus.close()


def test_the_role_delivers_answers_and_ends_in_order(root: Path) -> None:
    server = BusServer(root)
    server.start()
    try:
        server.make_streams()
        environ = {"QMAIL_DIR": str(root), "BUS_URL": server.url, "IDENTITY": "per-user" if PER_USER else "single"}
        arguments = [sys.executable, "-m", "services.delivery.local"]
        with subprocess.Popen(arguments, env=os.environ | environ, cwd=Path(__file__).parents[2]) as role:
            try:
                asyncio.run(use(read_paths(environ), environ, root))
            finally:
                role.send_signal(signal.SIGTERM)
            assert role.wait(SECONDS) == 0
    finally:
        server.stop()
