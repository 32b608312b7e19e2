"""The committer: what one record's failure means for those who wait, and for those who come later."""

from __future__ import annotations

import asyncio
import time

import pytest

from qmail.bus.ports import BusDown, DiskFull, QueueFull, Record
from qmail.message.ids import IdSource
from qmail.queue.put import Committer, Submitter
from tests.support.memory_bus import MemoryBus


class FailingBus(MemoryBus):
    """Fails as often as it is told, then stores."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)
        self.stored: list[str] = []

    async def store(self, record: Record, expected_sequence: int | None = None) -> int:
        if self.errors:
            raise self.errors.pop(0)
        self.stored.append(record.subject)
        return len(self.stored)


@pytest.mark.parametrize("error", [BusDown("gone"), ValueError("an answer that nobody foresaw")])
def test_after_any_failure_the_next_message_is_stored(error: Exception) -> None:
    async def work() -> None:
        bus = FailingBus(error)
        committer = Committer(bus)
        together = [committer.commit(1, "a", b"x", shares=True), committer.commit(2, "b", b"y", shares=True)]
        for future in together:
            with pytest.raises(type(error)):
                await asyncio.wait_for(future, 5)
        await asyncio.wait_for(committer.commit(3, "c", b"z", shares=True), 5)
        assert bus.stored == ["in.3"]

    asyncio.run(work())


def test_a_disk_that_is_full_keeps_new_messages_away_until_it_is_worth_another_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        submitter = Submitter(FailingBus(DiskFull("no acknowledgement")), IdSource())
        record = Record("body.1.0", b"x")
        with pytest.raises(DiskFull):
            await submitter.store(record)
        with pytest.raises(QueueFull):
            await submitter.ready()
        now = time.monotonic()
        monkeypatch.setattr("qmail.queue.put.time.monotonic", lambda: now + 60)
        await submitter.ready()
        await submitter.store(record)

    asyncio.run(work())
