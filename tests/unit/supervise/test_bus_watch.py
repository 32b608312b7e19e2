"""When a bus that does not work is started again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from supervise import bus_watch
from supervise.bus_watch import BROKEN_SECONDS, SILENT_SECONDS, Patience
from supervise.child import Child, Program
from tests.support.ports import free_port

FROZEN = b"""{"status":"unavailable","error":"JetStream stream '$G > IN' write error: no space left on device"}"""
READING = b'{"status":"unavailable","error":"JetStream is not current"}'


def test_a_server_that_cannot_write_goes_soon_even_if_it_was_never_seen_well() -> None:
    patience = Patience()
    assert not patience.is_over(7, 503, FROZEN, 100.0)
    assert patience.is_over(7, 503, FROZEN, 100.0 + BROKEN_SECONDS)


def test_one_that_is_reading_its_streams_may_take_its_time() -> None:
    patience = Patience()
    assert not patience.is_over(7, 503, READING, 0.0)
    assert not patience.is_over(7, 503, READING, 10 * SILENT_SECONDS)


def test_one_that_is_silent_after_it_was_well_has_a_minute() -> None:
    patience = Patience()
    assert not patience.is_over(7, 200, b"", 0.0)
    assert not patience.is_over(7, 0, b"", 5.0)
    assert not patience.is_over(7, 0, b"", 5.0 + SILENT_SECONDS - 1)
    assert patience.is_over(7, 0, b"", 5.0 + SILENT_SECONDS)


def test_being_well_again_or_started_again_begins_anew() -> None:
    patience = Patience()
    assert not patience.is_over(7, 503, FROZEN, 0.0)
    assert not patience.is_over(7, 200, b"", 1.0)
    assert not patience.is_over(7, 503, FROZEN, 1.0 + BROKEN_SECONDS)
    assert not patience.is_over(8, 503, FROZEN, 2.0 + 2 * BROKEN_SECONDS)
    assert patience.is_over(8, 503, FROZEN, 2.0 + 3 * BROKEN_SECONDS)


def test_one_stream_that_could_not_be_opened_is_no_illness() -> None:
    missing = b"""{"status":"unavailable","error":"JetStream stream '$G > EVENTS' could not be recovered"}"""
    patience = Patience()
    assert not patience.is_over(7, 200, b"", 0.0)
    assert not patience.is_over(7, 503, missing, 1.0)
    assert not patience.is_over(7, 503, missing, 10 * SILENT_SECONDS)


def test_one_that_falls_silent_before_anybody_was_ready_is_killed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_watch, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(bus_watch, "SILENT_SECONDS", 0.0)

    class Killed(Child):
        """A server that nobody reaches any more."""

        killed = asyncio.Event()

        def kill_process(self) -> None:
            self.killed.set()

    async def main() -> None:
        child = Killed(Program(name="bus", argv=("true",), environ={}, grace_seconds=1))
        watching = asyncio.create_task(bus_watch.watch(child, free_port(), tmp_path))
        await child.killed.wait()
        watching.cancel()

    asyncio.run(asyncio.wait_for(main(), 60))
