"""The scheduler's memory, made anew from the streams while new mail goes on (store.recovery reads them)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable

from qmail.bus import subjects
from qmail.bus.ports import Bus, Follower, Stored, TemporaryError
from qmail.message.envelope import Envelope
from qmail.queue.record_position import Place
from services.queue.decide.message import Message
from services.queue.decide.scheduler import Scheduler
from services.queue.run.intake import Intake
from services.queue.run.missing import Lost
from services.queue.store.cleaner import Cleaner
from services.queue.store.floor import Floor
from services.queue.store.gaps import LossWatch
from services.queue.store.journal import Journal
from services.queue.store.reading import Reading
from services.queue.store.records import Records
from services.queue.store.recovery import Recovery, without_done

RETRY_SECONDS = 2.0
# The bus names no more subjects at a time.
MOST_COMPARED = 100_000


class Rebuild:
    """Done once, at the start."""

    def __init__(
        self,
        *,
        bus: Bus,
        loss: LossWatch,
        scheduler: Scheduler,
        intake: Intake,
        floor: Floor,
        records: Records,
        journal: Journal,
        cleaner: Cleaner,
        reading: Reading,
        lost: Lost,
        log: Callable[[str], None],
        clock: Callable[[], float],
        pump: Callable[[], None],
        spawn: Callable[[Coroutine[object, object, None]], object],
    ) -> None:
        """As services.queue.run.intake."""
        self._loss = loss
        self._bus, self._scheduler, self._intake, self._floor = bus, scheduler, intake, floor
        self._records, self._journal, self._cleaner, self._reading = records, journal, cleaner, reading
        self._lost, self._log, self._clock, self._pump, self._spawn = lost, log, clock, pump, spawn
        self._recovery = Recovery(0)
        # Who runs what (channel, worker, attempt), by message and recipient number.
        self._heard: dict[tuple[int, int], tuple[str, str, int]] = {}
        # Messages of which this scheduler stored a record and that have ended since.
        self._ended: set[int] = set()
        self._states: Follower | None = None
        self.done = False

    async def begin(self) -> int:
        """Begin to read JOURNAL; the last sequence of IN that is old."""
        old = await self._bus.info(subjects.IN)
        recovery = self._recovery = Recovery(old.last_sequence)
        self._floor.purged(old.first_sequence)
        self._loss.begin_old(old)
        self._states = await self._bus.follow(
            subjects.JOURNAL, subjects.QUEUE_CONSUMER, self._on_state, recovery.state_read.set
        )
        return recovery.old_last

    def _on_state(self, stored: Stored) -> None:
        if not self._recovery.state_read.is_set():
            self._recovery.take_state(stored)

    def hear(self, channel: str, worker: str, running: Iterable[tuple[int, int, int]]) -> None:
        """A worker names what it runs."""
        for message_id, number, attempt in running:
            self._heard[message_id, number] = (channel, worker, attempt)

    def ended(self, message_id: int) -> None:
        """A message has ended of which a state record is stored."""
        if not self.done:
            self._ended.add(message_id)

    async def finish(self, listen_seconds: float) -> None:
        """Take what JOURNAL and IN hold, after listening for so long to what still runs."""
        recovery = self._recovery
        await asyncio.gather(recovery.state_read.wait(), asyncio.sleep(listen_seconds))
        # What comes into JOURNAL from now on is our own.
        if self._states is not None:
            await self._states.stop()
        for text in recovery.unreadable:
            self._log(f"alert: unreadable record, left where it is: {text}")
        running = await self._running_of_waiting()
        await self._forget_ended()
        self._take_waiting(running)
        await self._take_old()
        doubtful = await self._doubtful()
        self._journal.apart |= recovery.left
        self._journal.adopt_done(recovery.done_records(), recovery.journal_last)
        self._floor.seen(recovery.old_last)
        self._heard.clear()
        self._ended.clear()
        self._recovery = Recovery(0)
        self.done = True
        self._floor.complete()
        self._spawn(self._look_for(doubtful))

    async def _forget_ended(self) -> None:
        """Have copies removed of what has ended, where HOLD has more of them than what waits."""
        recovery = self._recovery
        ended = [message_id for message_id in recovery.ended_waiting() if message_id in recovery.held]
        if ended and await self._copies() > len(recovery.held) - len(ended):
            for message_id in ended:
                self._cleaner.forget_held(message_id)

    async def _look_for(self, doubtful: list[int]) -> None:
        for message_id in doubtful:
            await self._lost.look(message_id)

    async def _doubtful(self) -> list[int]:
        """The messages that a state record tells of and that their stream does not seem to have."""
        recovery = self._recovery
        missing = list(recovery.unseen)
        if len(recovery.held) > (copies := await self._copies()):
            self._log(f"alert: HOLD has {copies} of the {len(recovery.held)} messages that it should have")
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

    async def _running_of_waiting(self) -> list[Message]:
        """The messages with state records of which a worker runs a job: they must be in memory to be adopted."""
        named = {message_id for message_id, _ in self._heard if message_id in self._recovery.waiting}
        return [message for i in sorted(named) if (message := await self._reading.readable_state(i)) is not None]

    def _take_waiting(self, running: list[Message]) -> None:
        """What has a state record sleeps until it is due, but for what runs already."""
        recovery = self._recovery
        ended = recovery.ended_waiting()
        ours = {*self._scheduler.messages, *self._scheduler.asleep, *self._ended}
        for message_id in ended | ours:
            recovery.disregard(message_id)
        self._journal.adopt_states(recovery.states, ended, ours)
        self._scheduler.adopt_asleep(recovery.waiting, recovery.dues)
        for message in running:
            self._scheduler.wake(message, int(self._clock()))
            self._adopt(message.envelope)

    async def _take_old(self) -> None:
        """What IN held when we began and no state record tells of, in portions."""
        recovery = self._recovery
        reader = await self._read_old()
        if recovery.old_last == 0:
            recovery.all_read()
        while portion := await recovery.portion():
            for envelope, place in [pair for stored in portion for pair in await self._intake.read(stored)]:
                self._take_old_message(envelope, place)
            self._pump()
            await self._records.caught_up()
            reader.go()
        await reader.stop()
        self._loss.old_is_read(recovery.old_last)

    async def _read_old(self) -> Follower:
        recovery = self._recovery
        while True:
            try:
                take = self._loss.of_old(recovery.take_old)
                return await self._bus.follow(subjects.IN, subjects.OLD_CONSUMER, take, recovery.all_read, paced=True)
            except TemporaryError:
                await asyncio.sleep(RETRY_SECONDS)

    def _take_old_message(self, envelope: Envelope, place: Place) -> None:
        recovery = self._recovery
        recovery.unseen.discard(envelope.id)
        if envelope.id in recovery.done:
            recovery.sequences[envelope.id] = place.sequence
        if recovery.is_ended(envelope.id, envelope) or envelope.id in recovery.held:
            self._floor.seen(place.sequence)
            return
        self._floor.add(place.sequence, envelope.id)
        if envelope.id in recovery.left:
            self._spawn(self._intake.hold_record(place.record, place.sequence, envelope.id))
        elif not self._intake.is_queued(envelope.id) and self._intake.schedule(envelope, place):
            if (message := self._scheduler.messages.get(envelope.id)) is not None:
                without_done(message, recovery.done.get(envelope.id, set()))
            self._adopt(envelope)

    def _adopt(self, envelope: Envelope) -> None:
        """What of a message a worker runs already; in the turn in which it was taken, before anything is started."""
        for number in range(len(envelope.recipients)):
            heard = self._heard.get((envelope.id, number))
            if heard is not None:
                channel, worker, attempt = heard
                self._scheduler.adopt(channel, worker, envelope.id, number, attempt, time.monotonic())
