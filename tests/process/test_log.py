"""The role log against a real bus: lines on the disk in order; none is lost while it is away, killed or has no room."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from qmail.bus.connect import connect
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.talk import log_lines
from qmail.bus.talk.log_lines import LogLines
from qmail.control.paths import read_paths
from qmail.log.log import Log
from qmail.log.notices import Notices
from services.log import reader
from services.log.directories import LogDirectories
from services.log.reader import SILENCE_SECONDS, Reader
from tests.support.bus_server import BusServer
from tests.support.deployment import eventually
from tests.support.mail_run import fill, mail_run, small_disk

WAIT_SECONDS = 60
MANY = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BusServer]:
    bus = BusServer(tmp_path / "deployment")
    bus.start()
    try:
        bus.make_streams()
        yield bus
    finally:
        bus.stop()


@asynccontextmanager
async def connected(server: BusServer, role: str) -> AsyncIterator[JetStreamBus]:
    environ = {"QMAIL_DIR": str(server.directory), "BUS_URL": server.url}
    bus = await connect(role, read_paths(environ), environ)
    try:
        yield bus
    finally:
        await bus.close()


class WatchedLogs(LogDirectories):
    """Tells when a line is in the file; `broken`: as a disk that takes none."""

    def __init__(self, top: Path) -> None:
        super().__init__(top)
        self.touched = asyncio.Event()
        self.broken = False

    def write(self, event: LogLines) -> None:
        self.touched.set()
        if self.broken:
            raise OSError(28, "No space left on device", event.name)
        super().write(event)


async def say(server: BusServer, name: str, *lines: str) -> None:
    """As a role logs, and stored by the bus when this returns."""
    async with connected(server, "admin") as admin, connected(server, "queue") as bus:
        stored = (await admin.info("EVENTS")).messages
        log = Log(name)
        log_lines.attach(log, bus.publish)
        for line in lines:
            log.line(line)
        log.flush()
        async with asyncio.timeout(WAIT_SECONDS):
            while (await admin.info("EVENTS")).messages == stored:
                pass


@asynccontextmanager
async def reading(server: BusServer, logs: LogDirectories, said: list[str]) -> AsyncIterator[JetStreamBus]:
    """One life of the role."""
    async with connected(server, "log") as bus:
        task = asyncio.create_task(Reader(bus, logs, Notices(said.append)).run())
        try:
            yield bus
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            logs.close()


def lines(directory: Path) -> list[str]:
    path = directory / "qmail" / "current"
    return [line[26:] for line in path.read_text().splitlines()] if path.exists() else []


async def until(logs: WatchedLogs, directory: Path, last: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while last not in lines(directory):
            logs.touched.clear()
            await logs.touched.wait()


def test_lines_are_on_the_disk_with_their_stamps_and_come_once(server: BusServer, tmp_path: Path) -> None:
    async def live() -> None:
        await say(server, "qmail", "new msg 1", "end msg 1")
        logs = WatchedLogs(tmp_path)
        async with reading(server, logs, []):
            await until(logs, tmp_path, "end msg 1")
        # While the role is away the bus keeps what is said.
        await say(server, "qmail", "new msg 2")
        async with reading(server, logs, []):
            await until(logs, tmp_path, "new msg 2")

    asyncio.run(live())
    assert lines(tmp_path) == ["new msg 1", "end msg 1", "new msg 2"]
    assert all(line.startswith("@4000") for line in (tmp_path / "qmail" / "current").read_text().splitlines())


def test_what_is_logged_after_the_bus_came_back_is_read_at_once(
    server: BusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not by taking the old pull for lost, which would come as well.
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 100 * SILENCE_SECONDS)

    async def live() -> None:
        logs, back = WatchedLogs(tmp_path), asyncio.Event()
        async with reading(server, logs, []) as bus:
            bus.on_reconnected(back.set)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(WAIT_SECONDS):
                await back.wait()
            await say(server, "qmail", "new msg 3")
            await until(logs, tmp_path, "new msg 3")

    asyncio.run(live())
    assert lines(tmp_path)[-1] == "new msg 3"


def test_what_was_under_way_when_the_role_was_killed_comes_first_and_in_order(
    server: BusServer, tmp_path: Path
) -> None:
    """An acknowledgement holds for all before it: a later line must not take these with it."""

    async def live() -> None:
        for line in ("new msg 1", "new msg 2"):
            await say(server, "qmail", line)
        logs = WatchedLogs(tmp_path)
        logs.broken = True
        async with reading(server, logs, []):
            async with asyncio.timeout(WAIT_SECONDS):
                await logs.touched.wait()
        logs.broken = False
        await say(server, "qmail", "new msg 3")
        async with reading(server, logs, []):
            await until(logs, tmp_path, "new msg 3")

    asyncio.run(live())
    assert lines(tmp_path) == ["new msg 1", "new msg 2", "new msg 3"]


def test_a_full_disk_is_told_and_nothing_said_meanwhile_is_lost(
    server: BusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "UNWRITABLE_SECONDS", 0.05)
    said: list[str] = []

    async def live() -> None:
        logs = WatchedLogs(tmp_path)
        logs.broken = True
        async with reading(server, logs, said):
            # Who says it is not held up.
            await say(server, "qmail", "new msg 1")
            async with asyncio.timeout(WAIT_SECONDS):
                await logs.touched.wait()
            await say(server, "qmail", "new msg 2")
            logs.broken = False
            await until(logs, tmp_path, "new msg 2")

    asyncio.run(live())
    assert lines(tmp_path) == ["new msg 1", "new msg 2"]
    what = "qmail: No space left on device; log lines wait on the bus"
    assert said == [f"alert: {what}", f"mended: {what}"]


@pytest.mark.root(reason="only root can mount")
def test_mail_waits_neither_for_a_full_log_disk_nor_for_a_role_that_stands_still() -> None:
    with mail_run() as run, small_disk(run.directory / "log", "1m") as disk:
        run.start()
        filler = fill(disk)
        # More lines than the file's last page takes.
        for number in range(1, MANY):
            assert run.send(number) == 250
        run.drained()
        eventually(lambda: "log lines wait on the bus" in run.qmailctl("stat").stdout, "the alert", WAIT_SECONDS)
        # Degraded is not down.
        assert run.qmailctl("stat").returncode == 0
        run.signal("services.log", signal.SIGSTOP)
        try:
            filler.unlink()
            assert run.send(MANY) == 250
            run.drained()
        finally:
            run.signal("services.log", signal.SIGCONT)
        assert run.numbers("ari") == list(range(1, MANY + 1))
        run.logged_after(0, "end msg", MANY)
        assert "log lines wait on the bus" not in run.qmailctl("stat").stdout
