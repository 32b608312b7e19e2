"""The committer: what one record's failure means for those who wait, and for those who come later."""

from __future__ import annotations

import asyncio

import pytest

from qmail.bus.memory import MemoryBus
from qmail.bus.ports import BusDown, Record
from qmail.put import Committer


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
        together = [committer.commit(1, "a", b"x", True), committer.commit(2, "b", b"y", True)]
        for future in together:
            with pytest.raises(type(error)):
                await asyncio.wait_for(future, 5)
        await asyncio.wait_for(committer.commit(3, "c", b"z", True), 5)
        assert bus.stored == ["in.3"]

    asyncio.run(work())
