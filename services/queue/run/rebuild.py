"""The scheduler's memory, made anew from the streams while new mail goes on (store.recovery reads them).

Why: docs/decisions/0007-a-stand-by-reads-when-it-takes-over.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from qmail.bus import subjects
from qmail.bus.ports import Follower, Stored, TemporaryError
from qmail.message.envelope import Envelope
from qmail.queue.deliveries import RecordPosition
from services.queue.decide import events
from services.queue.decide.message import QueuedMessage
from services.queue.run.driver import Driver
from services.queue.run.intake import Intake
from services.queue.run.missing import MissingMessages
from services.queue.store.gaps import GapWatch
from services.queue.store.recovery import Recovery

RETRY_SECONDS = 2.0
# The bus names no more subjects at a time.
MOST_COMPARED = 100_000


class Rebuild:
    """Done once, at the start."""

    def __init__(self, driver: Driver, intake: Intake, missing: MissingMessages, gaps: GapWatch) -> None:
        self._driver, self._intake, self._missing, self._gaps = driver, intake, missing, gaps
        self._context, self._scheduler, self._bus = driver.context, driver.scheduler, driver.context.bus
        self._store, self._floor = driver.store, driver.store.floor
        self._recovery = Recovery(0)
        # What runs (channel, attempt), by message and recipient number.
        self._heard: dict[tuple[int, int], tuple[str, int]] = {}
        self._states: Follower | None = None

    async def begin(self) -> int:
        """Begin to read JOURNAL; the last sequence of IN that is old."""
        old = await self._bus.info(subjects.IN)
        recovery = self._recovery = Recovery(old.last_sequence)
        self._floor.purged(old.first_sequence)
        self._gaps.begin_old(old)
        self._states = await self._bus.follow(
            subjects.JOURNAL, subjects.QUEUE_CONSUMER, self._on_state, recovery.state_read.set
        )
        return recovery.old_last

    def _on_state(self, stored: Stored) -> None:
        if not self._recovery.state_read.is_set():
            self._recovery.take_state(stored)

    def hear(self, channel: str, running: Iterable[tuple[int, int, int]]) -> None:
        for message_id, number, attempt in running:
            self._heard[message_id, number] = (channel, attempt)

    async def finish(self, listen_seconds: float) -> None:
        """Take what JOURNAL and IN hold, after listening for so long to what still runs."""
        recovery = self._recovery
        await asyncio.gather(recovery.state_read.wait(), asyncio.sleep(listen_seconds))
        # What comes into JOURNAL from now on is our own.
        if self._states is not None:
            await self._states.stop()
        for text in recovery.unreadable:
            self._context.log(f"alert: unreadable record, left where it is: {text}")
        running = await self._running_of_waiting()
        await self._forget_ended()
        self._take_waiting(running)
        await self._take_old()
        doubtful = await self._doubtful()
        self._store.journal.apart |= recovery.left
        self._store.journal.adopt_done(recovery.done_records(), recovery.journal_last)
        self._floor.seen(recovery.old_last)
        self._heard.clear()
        self._driver.ended_early.clear()
        self._recovery = Recovery(0)
        self._driver.step(events.Rebuilt())
        self._floor.complete()
        self._context.spawn(self._look_for(doubtful))

    async def _forget_ended(self) -> None:
        """Have copies removed of what has ended, where HOLD has more of them than what waits."""
        recovery = self._recovery
        ended = [message_id for message_id in recovery.ended_waiting() if message_id in recovery.held]
        if ended and await self._copies() > len(recovery.held) - len(ended):
            for message_id in ended:
                self._store.cleaner.forget_held(message_id)

    async def _look_for(self, doubtful: list[int]) -> None:
        for message_id in doubtful:
            await self._missing.look(message_id)

    async def _doubtful(self) -> list[int]:
        """The messages that a state record tells of and that their stream does not seem to have."""
        recovery = self._recovery
        missing = list(recovery.unseen)
        if len(recovery.held) > (copies := await self._copies()):
            self._context.log(f"alert: HOLD has {copies} of the {len(recovery.held)} messages that it should have")
            if copies <= MOST_COMPARED:
                there = await self._held()
                missing += [message_id for message_id in recovery.held if message_id not in there]
            # Of more, whoever is due is missed by its worker.
        return missing

    async def _held(self) -> set[int]:
        while True:
            try:
                names = await self._bus.subjects(subjects.HOLD, subjects.EVERY_HOLD)
                return {subjects.id_of(name) for name in names if name.partition(".")[2].isdigit()}
            except TemporaryError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _copies(self) -> int:
        while True:
            try:
                return (await self._bus.info(subjects.HOLD)).messages
            except TemporaryError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _running_of_waiting(self) -> list[QueuedMessage]:
        """The messages with state records of which a worker runs a job: they must be in memory to be adopted."""
        named = {message_id for message_id, _ in self._heard if message_id in self._recovery.waiting}
        return [message for i in sorted(named) if (message := await self._store.reading.readable_state(i)) is not None]

    def _take_waiting(self, running: list[QueuedMessage]) -> None:
        """What has a state record sleeps until it is due, but for what runs already."""
        recovery = self._recovery
        ended = recovery.ended_waiting()
        ours = {*self._scheduler.messages, *self._scheduler.asleep, *self._driver.ended_early}
        for message_id in ended | ours:
            recovery.disregard(message_id)
        self._store.journal.adopt_states(recovery.states, ended, ours)
        self._driver.step(events.Remembered(recovery.waiting, recovery.dues))
        for message in running:
            self._driver.step(events.Woken(message, self._context.now()))
            self._adopt(message.envelope)

    async def _take_old(self) -> None:
        """What IN held when we began and no state record tells of, in portions."""
        recovery = self._recovery
        reader = await self._read_old()
        if recovery.old_last == 0:
            recovery.all_read()
        while portion := await recovery.portion():
            for envelope, position in [pair for stored in portion for pair in await self._intake.read(stored)]:
                self._take_old_message(envelope, position)
            self._driver.proceed()
            await self._store.records.caught_up()
            reader.go()
        await reader.stop()
        self._gaps.old_is_read(recovery.old_last)

    async def _read_old(self) -> Follower:
        recovery = self._recovery
        while True:
            try:
                take = self._gaps.of_old(recovery.take_old)
                return await self._bus.follow(subjects.IN, subjects.OLD_CONSUMER, take, recovery.all_read, paced=True)
            except TemporaryError:
                await asyncio.sleep(RETRY_SECONDS)

    def _take_old_message(self, envelope: Envelope, position: RecordPosition) -> None:
        recovery = self._recovery
        recovery.unseen.discard(envelope.id)
        if envelope.id in recovery.done:
            recovery.sequences[envelope.id] = position.sequence
        if recovery.is_ended(envelope.id, envelope) or envelope.id in recovery.held:
            self._floor.seen(position.sequence)
            return
        self._floor.add(position.sequence, envelope.id)
        if envelope.id in recovery.left:
            self._context.spawn(self._intake.hold_record(position.record, position.sequence, envelope.id))
        elif not self._scheduler.has(envelope.id):
            self._intake.schedule(envelope, position, recovery.done.get(envelope.id, frozenset()))
            self._adopt(envelope)

    def _adopt(self, envelope: Envelope) -> None:
        """What of a message a worker runs already; in the turn in which it was taken, before anything is started."""
        for number in range(len(envelope.recipients)):
            heard = self._heard.get((envelope.id, number))
            if heard is not None:
                channel, attempt = heard
                self._driver.step(events.Adopted(channel, envelope.id, number, attempt, time.monotonic()))
