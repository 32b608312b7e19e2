"""What the scheduler forgets stays forgotten, though the bus dies at any moment: JOURNAL on a real NATS server that is
killed and started again.

Of an overwritten record the server keeps no mark. So a stream with a limit per subject gives a purged subject's last
but one record back; one that is purged by sequence alone does not (docs/decisions/0008).
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from qmail.bus import subjects
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import Record
from services.queue.store.cleaner import Cleaner
from services.queue.store.floor import Floor
from services.queue.store.journal import DoneRecord, Journal, StatePositions
from tests.support.bus_server import BusServer
from tests.support.scheduling import Lines, make_context

T = TypeVar("T")
ROUNDS = 6


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BusServer]:
    bus = BusServer(tmp_path)
    bus.start()
    try:
        bus.make_streams()
        yield bus
    finally:
        bus.stop()


def on(server: BusServer, work: Callable[[JetStreamBus], Awaitable[T]]) -> T:
    async def go() -> T:
        bus = JetStreamBus("_INBOX_admin")
        await bus.connect(server.url, "admin", server.password("admin"), "test")
        try:
            return await work(bus)
        finally:
            await bus.close()

    return asyncio.run(go())


def kill(server: BusServer) -> None:
    server.stop(signal.SIGKILL)
    server.start()


async def stored(bus: JetStreamBus) -> dict[str, int]:
    """Every subject of JOURNAL and its sequence; none is there twice."""
    found = {subject: await bus.last(subjects.JOURNAL, subject) for subject in await bus.subjects("JOURNAL", ">")}
    assert (await bus.info(subjects.JOURNAL)).messages == len(found)
    return {subject: record.sequence for subject, record in found.items() if record is not None}


async def write(bus: JetStreamBus, *names: str, size: int = 100) -> int:
    sequence = 0
    for name in names:
        sequence = await bus.store(Record(name, b"x" * size))
    return sequence


def test_a_message_that_ended_leaves_nothing_that_a_dead_bus_brings_back(server: BusServer) -> None:
    async def end_a_message(bus: JetStreamBus) -> None:
        await write(bus, "state.1", "state.1", "state.1", "done.1-1", "state.2", "state.2")
        journal, states = Journal(), StatePositions()
        states.add(3, 1)
        states.add(6, 2)
        journal.adopt_states(states, ended=set(), ours=set())
        journal.adopt_done([DoneRecord(4, 0)], 6)
        journal.state_ended(3)
        floor = Floor()
        floor.complete()
        cleaner = Cleaner(make_context(bus, Lines()), floor, journal)
        cleaner.settle_seconds = 0.0
        for _ in range(2):
            await cleaner.sweep()

    on(server, end_a_message)
    assert on(server, stored) == {"state.2": 6}
    kill(server)
    assert on(server, stored) == {"state.2": 6}


def test_a_message_whose_end_is_recorded_stays_ended_before_anything_was_removed(server: BusServer) -> None:
    on(server, lambda bus: write(bus, "state.1", "state.1", "state.1", "done.1-1"))
    kill(server)
    assert on(server, stored) == {"state.1": 3, "done.1-1": 4}


def test_what_is_overwritten_for_ever_is_the_last_one_after_a_death(server: BusServer) -> None:
    last = on(server, lambda bus: write(bus, *["lease", "node.1", "paused"] * 50))
    kill(server)
    lease = on(server, lambda bus: bus.last(subjects.CLAIMS, subjects.LEASE))
    paused = on(server, lambda bus: bus.last(subjects.CLAIMS, subjects.PAUSED))
    assert lease is not None and paused is not None
    assert (lease.sequence, paused.sequence) == (last - 2, last)


@pytest.mark.parametrize("seed", range(2))
def test_random_records_and_purges_over_many_blocks_are_as_they_were(server: BusServer, seed: int) -> None:
    """Records of up to 200 kB, so that blocks begin and end; purges by sequence between them; a death after each."""
    chance, model = random.Random(seed), dict[str, int]()

    async def go_on(bus: JetStreamBus) -> None:
        for number in range(chance.randint(5, 60)):
            name = f"state.{chance.randint(1, 20)}" if chance.random() < 0.7 else f"done.{chance.random()}-{number}"
            name = name.replace("0.", "")
            model[name] = await write(bus, name, size=chance.choice((100, 5000, 200_000)))
        floor = chance.choice(sorted(model.values())) + chance.randint(0, 1)
        await bus.purge(subjects.JOURNAL, below_sequence=floor)
        for name in [name for name, sequence in model.items() if sequence < floor]:
            del model[name]

    for _ in range(ROUNDS):
        on(server, go_on)
        kill(server)
        assert on(server, stored) == model
