"""What the queue role removes from JOURNAL, and that it is never what another scheduler has written."""

from __future__ import annotations

import asyncio

from qmail.bus import subjects
from qmail.bus.ports import Record
from services.queue.run.lease import Lease
from services.queue.store.cleaner import PURGE_SECONDS, SETTLE_SECONDS, Cleaner
from services.queue.store.floor import Floor
from services.queue.store.journal import Journal, StatePositions
from tests.support.line import Line
from tests.support.memory_bus import MemoryBus
from tests.support.scheduling import Lines, make_context
from tests.support.warp import run, time_passes

NOW = 1_700_000_000.0


class Scheduler:
    """What of one has to do with JOURNAL. `line` carries its lease alone."""

    def __init__(self, bus: MemoryBus, clock_is_off_by: float = 0.0) -> None:
        self._bus, self.line = bus, Line(bus)
        self.lost = asyncio.Event()
        clock = lambda: NOW + clock_is_off_by + asyncio.get_running_loop().time()
        self.lease = Lease(self.line, self.lost.set, clock)
        self._journal, floor = Journal(), Floor()
        self._journal.adopt_states(StatePositions(), ended=set(), ours=set())
        self._journal.adopt_done([], 0)
        floor.complete()
        context = make_context(bus, Lines(), held_at=self.lease.held_at)
        self._cleaner = Cleaner(context, floor, self._journal)

    async def store(self, message_id: int) -> int:
        under_way = self._journal.begin()
        sequence = await self._bus.store(Record(subjects.state(message_id), b"{}"))
        self._journal.state_stored(under_way, message_id, 0, sequence)
        return sequence

    async def end(self, message_id: int) -> None:
        self._journal.state_ended(await self.store(message_id))

    async def sweep(self) -> None:
        """When something is due, and once again when what was removed is on the disk."""
        await time_passes(PURGE_SECONDS + 1)
        await self._cleaner.sweep()
        await time_passes(SETTLE_SECONDS + 1)
        await self._cleaner.sweep()


async def stored(bus: MemoryBus) -> set[str]:
    return set(await bus.subjects(subjects.JOURNAL, "state.*"))


def test_what_ended_goes_while_the_lease_is_ours() -> None:
    async def work() -> None:
        bus = MemoryBus()
        scheduler = Scheduler(bus)
        await scheduler.lease.acquire()
        await scheduler.end(1)
        await scheduler.store(2)
        await scheduler.sweep()
        assert await stored(bus) == {"state.2"}

    run(work())


def test_a_scheduler_that_lost_the_lease_without_knowing_removes_nothing_of_the_next_one() -> None:
    """It stands still, another takes over and writes, it does a little more and stands still again."""

    async def work() -> None:
        bus = MemoryBus()
        first, second = Scheduler(bus), Scheduler(bus, clock_is_off_by=86_400.0)
        await first.lease.acquire()
        first.line.cut()
        await second.lease.acquire()
        await second.store(1)
        await first.end(2)
        await first.sweep()
        assert not first.lost.is_set()
        assert "state.1" in await stored(bus)

    run(work())
