"""IN has no gaps and never goes back: what the scheduler sees of it when it does."""

from __future__ import annotations

import asyncio
import json

from qmail.bus import subjects
from qmail.bus.ports import Message, Record, Stored, StreamInfo
from services.queue.store.floor import Floor
from services.queue.store.gaps import Gaps, GapWatch
from tests.support.memory_bus import MemoryBus
from tests.support.scheduling import Lines, make_context


class Scene:
    """A watch on a bus in memory, with an admin who answers."""

    def __init__(self) -> None:
        self.bus, self.floor = MemoryBus(), Floor()
        self.log = Lines()
        self.lines = self.log.lines
        self.told: list[list[list[int]]] = []
        self.begun_anew = 0
        self.watch = GapWatch(make_context(self.bus, self.log, on_broken=self._begin), self.floor)

    def _begin(self) -> None:
        self.begun_anew += 1

    async def admin(self) -> None:
        def hear(message: Message) -> None:
            self.told.append(json.loads(message.payload)["ranges"])
            self.bus.publish(message.reply, b"")

        await self.bus.subscribe("lost", hear)

    async def settle(self) -> None:
        """Every task that was begun has ended."""
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


def record(sequence: int) -> Stored:
    return Stored(f"in.{1000 + sequence}", sequence, b"", {})


def test_a_reader_without_gaps_sees_none() -> None:
    gaps = Gaps(4)
    assert [gaps.saw(number) for number in (5, 6, 6, 7)] == [None] * 4
    assert gaps.saw(10) == (8, 9)


def test_gaps_in_what_there_was_are_told_to_admin_and_those_at_its_end_too() -> None:
    async def main() -> None:
        scene = Scene()
        await scene.admin()
        scene.watch.begin_old(StreamInfo(6, 1, -1, 3, 8))
        taken: list[int] = []
        look = scene.watch.of_old(lambda stored: taken.append(stored.sequence))
        for number in (3, 5, 6):
            look(record(number))
        scene.watch.old_is_read(8)
        await scene.settle()
        assert taken == [3, 5, 6]
        assert scene.told == [[[4, 4]], [[7, 8]]]
        assert scene.lines[0] == "alert: records of IN cannot be read: 4 to 4"

    asyncio.run(main())


def test_an_empty_log_is_no_loss() -> None:
    async def main() -> None:
        scene = Scene()
        scene.watch.begin_old(StreamInfo(0, 0, -1, 9, 8))
        scene.watch.old_is_read(8)
        assert scene.lines == []

    asyncio.run(main())


def test_a_bus_that_comes_back_with_what_was_seen_goes_on() -> None:
    async def main() -> None:
        scene = Scene()
        look = scene.watch.of_new(0, lambda stored: scene.floor.add(stored.sequence, 1001))
        scene.floor.complete()
        sequence = await scene.bus.store(Record("in.1001", b"x"))
        look(Stored("in.1001", sequence, b"", {}))
        scene.watch.came_back()
        await scene.settle()
        assert scene.begun_anew == 0

    asyncio.run(main())


def test_a_bus_that_comes_back_without_it_is_named_and_begun_anew() -> None:
    async def main() -> None:
        scene = Scene()
        look = scene.watch.of_new(0, lambda stored: scene.floor.add(stored.sequence, 1000 + stored.sequence))
        scene.floor.complete()
        await scene.bus.store(Record("in.1001", b"x"))
        look(record(1))
        look(record(2))
        scene.watch.came_back()
        await scene.settle()
        assert scene.lines == ["alert: IN has gone back from 2 to 1; not delivered: msg 1002"]
        assert scene.begun_anew == 1

    asyncio.run(main())


def test_a_number_that_was_given_out_again_is_noticed() -> None:
    async def main() -> None:
        scene = Scene()
        look = scene.watch.of_new(0, lambda stored: scene.floor.add(stored.sequence, 1000 + stored.sequence))
        scene.floor.complete()
        look(record(1))
        await scene.bus.store(Record("in.2001", b"another"))
        scene.watch.came_back()
        await scene.settle()
        assert scene.begun_anew == 1

    asyncio.run(main())


def test_what_another_scheduler_purged_meanwhile_is_no_loss() -> None:
    async def main() -> None:
        scene = Scene()
        await scene.admin()
        for number in (1, 2, 3):
            await scene.bus.store(Record(f"in.{1000 + number}", b"x"))
        await scene.bus.purge(subjects.IN, below_sequence=3)
        scene.watch.begin_old(StreamInfo(3, 1, -1, 1, 3))
        scene.watch.of_old(lambda stored: None)(record(3))
        scene.watch.old_is_read(3)
        await scene.settle()
        assert scene.told == []
        assert scene.lines == []

    asyncio.run(main())
