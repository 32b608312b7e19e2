"""The reader of EVENTS/log with a bus that does what a script says; tests/process/test_log.py has the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from qmail.bus.ports import Message
from qmail.bus.talk.log_lines import LogLines
from qmail.log.notices import Notices
from services.log.directories import LogDirectories
from services.log.reader import NEXT, Reader

STAMP = "@400000006b0463760146ec5f"


class Subscription:
    async def stop(self) -> None:
        """Nothing comes by itself."""


class ScriptedBus:
    """Answers each pull with the next events of the script: (stream sequence, line)."""

    def __init__(self, *pulls: list[tuple[int, str]]) -> None:
        self._pulls = list(pulls)
        self.acknowledged: list[str] = []
        self.done = asyncio.Event()

    def on_reconnected(self, callback: Callable[[], None]) -> None:
        """The connection stands."""

    async def subscribe(self, subject: str, callback: Callable[[Message], None], group: str = "") -> Subscription:
        self._callback = callback
        return Subscription()

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        return b"{}"

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        if subject != NEXT:
            self.acknowledged.append(subject)
            return
        if not self._pulls:
            self.done.set()
            return
        for sequence, line in self._pulls.pop(0):
            ack = f"$JS.ACK.EVENTS.log.1.{sequence}.1.1.0"
            self._callback(Message("event.log.qmail", f"{STAMP} {line}\n".encode(), ack))
        self._callback(Message(reply, b"", "", {"Status": "408"}))


def read(bus_of: Callable[[], ScriptedBus], directory: Path) -> tuple[ScriptedBus, list[str]]:
    """Read until the script is at its end; the bus, and what was said."""
    said: list[str] = []

    async def live() -> ScriptedBus:
        bus = bus_of()
        reader = asyncio.create_task(Reader(bus, LogDirectories(directory), Notices(said.append)).run())  # type: ignore[arg-type]
        async with asyncio.timeout(60):
            await bus.done.wait()
        reader.cancel()
        return bus

    return asyncio.run(live()), said


def test_what_comes_again_because_the_disk_was_slow_is_written_once(tmp_path: Path) -> None:
    events = [(7, "new msg 1"), (9, "end msg 1"), (7, "new msg 1"), (9, "end msg 1"), (10, "new msg 2")]
    bus, _ = read(lambda: ScriptedBus(events), tmp_path)
    assert (tmp_path / "qmail" / "current").read_text() == "".join(
        f"{STAMP} {line}\n" for line in ("new msg 1", "end msg 1", "new msg 2")
    )
    assert len(bus.acknowledged) == len(events)


def test_nothing_is_acknowledged_after_a_line_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An acknowledgement holds for all that came before it."""
    monkeypatch.setattr("services.log.reader.UNWRITABLE_SECONDS", 0)
    write, refused = LogDirectories.write, 1

    def full_once(self: LogDirectories, event: LogLines) -> None:
        nonlocal refused
        if refused:
            refused -= 1
            raise OSError(28, "No space left on device", "/var/log/qmail/current")
        write(self, event)

    monkeypatch.setattr(LogDirectories, "write", full_once)
    # As the bus has it: from the first that is not acknowledged, after the reset that follows.
    bus, said = read(lambda: ScriptedBus([(1, "first"), (2, "second")], [(1, "first"), (2, "second")]), tmp_path)
    assert (tmp_path / "qmail" / "current").read_text() == f"{STAMP} first\n{STAMP} second\n"
    assert bus.acknowledged == ["$JS.ACK.EVENTS.log.1.1.1.1.0", "$JS.ACK.EVENTS.log.1.2.1.1.0"]
    what = "/var/log/qmail/current: No space left on device; log lines wait on the bus"
    assert said == [f"alert: {what}", f"mended: {what}"]
