"""One scheduler works, the others stand by: who has the lease, when it passes on, and what a wrong clock may not do."""

from __future__ import annotations

import asyncio

import pytest

from services.queue.run.lease import ASK_SECONDS, GONE_SECONDS, LEASE_SECONDS, RENEW_SECONDS, Lease
from tests.support.line import Line
from tests.support.memory_bus import MemoryBus
from tests.support.warp import run, time_passes

NOW = 1_700_000_000.0


class Queue:
    """A queue role's share in it: its connection, its lease, whether it was told that it lost it."""

    def __init__(self, bus: MemoryBus, clock_is_off_by: float = 0.0) -> None:
        self.line = Line(bus)
        self.lost = False
        self.lease = Lease(self.line, self._lose, lambda: NOW + clock_is_off_by + asyncio.get_running_loop().time())

    def _lose(self) -> None:
        self.lost = True

    async def seconds_until_it_works(self) -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await self.lease.acquire()
        return loop.time() - before


def test_the_first_takes_it_at_once_and_the_second_stands_by() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, second = Queue(bus), Queue(bus)
        assert await first.lease.acquire() is False
        waiting = asyncio.create_task(second.lease.acquire())
        await time_passes(LEASE_SECONDS * 10)
        assert not waiting.done() and not first.lost
        waiting.cancel()

    run(work())


def test_a_lease_that_is_given_back_passes_on_with_a_higher_epoch() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, second = Queue(bus), Queue(bus)
        await first.lease.acquire()
        waiting = asyncio.create_task(second.seconds_until_it_works())
        await time_passes(RENEW_SECONDS * 3)
        before = asyncio.get_running_loop().time()
        await first.lease.release(quiet=True)
        await waiting
        assert asyncio.get_running_loop().time() - before <= ASK_SECONDS
        assert second.lease.epoch > first.lease.epoch

    run(work())


def test_the_lease_of_a_scheduler_that_has_gone_from_the_bus_is_free_soon() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, second = Queue(bus), Queue(bus)
        await first.lease.acquire()
        first.line.cut()
        assert await second.seconds_until_it_works() <= GONE_SECONDS + 2 * ASK_SECONDS

    run(work())


def test_a_scheduler_that_hangs_keeps_it_until_its_time_is_over() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, second = Queue(bus), Queue(bus)
        await first.lease.acquire()
        assert first.lease._task is not None
        first.lease._task.cancel()
        assert LEASE_SECONDS - ASK_SECONDS <= await second.seconds_until_it_works() <= LEASE_SECONDS + ASK_SECONDS

    run(work())


def test_who_begins_while_the_holder_lives_does_not_take_it_from_him() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first = Queue(bus)
        await first.lease.acquire()
        others = [asyncio.create_task(Queue(bus).lease.acquire()) for _ in range(3)]
        await time_passes(LEASE_SECONDS * 10)
        assert not any(other.done() for other in others) and not first.lost
        first.line.cut()
        await time_passes(LEASE_SECONDS)
        assert sum(other.done() for other in others) == 1
        for other in others:
            other.cancel()

    run(work())


def test_a_clock_that_was_set_back_does_not_keep_the_lease_of_a_scheduler_that_hangs() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, second = Queue(bus, clock_is_off_by=86_400.0), Queue(bus)
        await first.lease.acquire()
        assert first.lease._task is not None
        first.lease._task.cancel()
        assert await second.seconds_until_it_works() <= LEASE_SECONDS + 2 * ASK_SECONDS

    run(work())


def test_a_wrong_clock_does_not_take_the_lease_from_a_living_scheduler_that_is_ahead() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, second = Queue(bus, clock_is_off_by=86_400.0), Queue(bus)
        await first.lease.acquire()
        waiting = asyncio.create_task(second.lease.acquire())
        await time_passes(LEASE_SECONDS * 10)
        assert not waiting.done() and not first.lost
        waiting.cancel()

    run(work())


def test_an_outage_of_the_bus_does_not_take_it_from_a_living_scheduler() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, second = Queue(bus), Queue(bus)
        await first.lease.acquire()
        waiting = asyncio.create_task(second.lease.acquire())
        await time_passes(RENEW_SECONDS + 1)
        bus.connected = False
        await time_passes(LEASE_SECONDS - RENEW_SECONDS)
        bus.connected = True
        await time_passes(LEASE_SECONDS * 4)
        assert not waiting.done() and not first.lost
        waiting.cancel()

    run(work())


def test_whoever_lost_it_is_told_with_the_next_renewal() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, hasty = Queue(bus), Queue(bus, clock_is_off_by=86_400.0)
        await first.lease.acquire()
        await hasty.lease.acquire()
        await time_passes(RENEW_SECONDS + 1)
        assert first.lost and not hasty.lost

    run(work())


@pytest.mark.parametrize("quiet", [True, False])
def test_who_comes_after_an_orderly_end_knows_whether_anything_may_still_run(quiet: bool) -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, second = Queue(bus), Queue(bus)
        await first.lease.acquire()
        await first.lease.release(quiet=quiet)
        assert await second.lease.acquire() is not quiet

    run(work())


def test_after_a_death_something_may_still_run_although_an_earlier_end_was_orderly() -> None:
    async def work() -> None:
        bus = MemoryBus()
        first, second, third = Queue(bus), Queue(bus), Queue(bus)
        await first.lease.acquire()
        await first.lease.release(quiet=True)
        await second.lease.acquire()
        second.line.cut()
        assert await third.lease.acquire() is True

    run(work())
