"""What the scheduler must have on stable storage before it confirms: done records and state records.

A done record holds up to 64 ended recipients and costs one fsync; a state record is one message's. Nothing is
confirmed to a worker before the record that tells of it is stored.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from qmail.bus import subjects
from qmail.bus.ports import Record, RecordTooLarge, TemporaryError, WrongSequence
from qmail.message.value import value
from services.queue.context import Context
from services.queue.decide.message import QueuedMessage, encode_state
from services.queue.store.journal import Journal

DONE_RECIPIENTS = 64
# How long a local success waits for company before its done record is written. A crash in between repeats a
# delivery that finds its own copy in the Maildir; a remote success cannot be found again and does not wait.
GATHER_SECONDS = 0.03
RETRY_SECONDS = 1.0
TOO_LARGE_SECONDS = 600.0
# State records on their way at a time; a rebuild that puts much off waits here.
SAVING_ENOUGH = 1000

# In a done record: every recipient of the message.
ALL = -1


@value()
class _Entry:
    message_id: int
    number: int
    sequence: int
    stored: Callable[[], None]


@dataclass(slots=True)
class _Saving:
    waiting: list[Callable[[], None]] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Records:
    """Stores the scheduler's records, each as often as it takes."""

    def __init__(self, context: Context, journal: Journal) -> None:
        self._context, self._journal = context, journal
        self._counter = 0
        self._done: deque[_Entry] = deque()
        self._done_task: asyncio.Task[None] | None = None
        self._urgent = asyncio.Event()
        self._saving: dict[int, _Saving] = {}

    def add_done(self, message: QueuedMessage, number: int, stored: Callable[[], None], *, urgent: bool) -> None:
        """Note an ended recipient (ALL: the message); `stored` is called when that is on stable storage."""
        if urgent:
            self._urgent.set()
        self._done.append(_Entry(message.id, number, message.sequence, stored))
        if self._done_task is None:
            self._done_task = self._context.spawn(self._write_done())

    async def _write_done(self) -> None:
        while self._done:
            if len(self._done) < DONE_RECIPIENTS:
                await self._gather()
            group = [self._done.popleft() for _ in range(min(DONE_RECIPIENTS, len(self._done)))]
            self._counter += 1
            rows = [[entry.message_id, entry.number] for entry in group]
            payload = json.dumps({"v": 1, "done": rows}, separators=(",", ":")).encode()
            record = Record(subjects.done(self._context.epoch, self._counter), payload)
            under_way = self._journal.begin()
            sequence = await self._store(record)
            self._journal.done_stored(under_way, sequence, max(entry.sequence for entry in group))
            for entry in group:
                entry.stored()
        self._done_task = None

    async def _gather(self) -> None:
        try:
            await asyncio.wait_for(self._urgent.wait(), GATHER_SECONDS)
        except TimeoutError:
            return
        self._urgent.clear()

    async def _store(self, record: Record, expected: int | None = None) -> int:
        """expected: the sequence of the record that this one replaces. Raises WrongSequence where there is another by
        now, which only another scheduler can have stored."""
        unknown = False
        while True:
            try:
                return await self._context.bus.store(record, expected)
            except WrongSequence:
                # After a lost answer it may be our own.
                sequence = await self._sequence_of(record) if unknown else 0
                if not sequence:
                    raise
                return sequence
            except TemporaryError as error:
                unknown = True
                self._context.log(f"unable to store {record.subject.split('.')[0]} record: {error}; will try again")
                await asyncio.sleep(RETRY_SECONDS)
            except RecordTooLarge as error:
                # Nothing that is accepted grows so far; what does keeps the others from nothing.
                self._context.log(f"alert: a record is too large to be stored, its message waits: {error}")
                await asyncio.sleep(TOO_LARGE_SECONDS)

    async def _sequence_of(self, record: Record) -> int:
        """Where this very record is stored; 0: it is not."""
        while True:
            try:
                stored = await self._context.bus.last(subjects.JOURNAL, record.subject)
            except TemporaryError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            return stored.sequence if stored is not None and stored.payload == record.payload else 0

    def save(self, message: QueuedMessage, stored: Callable[[], None]) -> None:
        """Store a message's state record as it is when the turn comes; `stored` is called after that."""
        saving = self._saving.get(message.id)
        if saving is None:
            saving = self._saving[message.id] = _Saving()
            saving.task = self._context.spawn(self._write_state(message, saving))
        saving.waiting.append(stored)

    async def _write_state(self, message: QueuedMessage, saving: _Saving) -> None:
        await asyncio.sleep(0)
        while saving.waiting:
            waiting, saving.waiting = saving.waiting, []
            record = Record(subjects.state(message.id), encode_state(message))
            under_way, before = self._journal.begin(), message.state_sequence
            message.state_sequence = await self._store(record, before)
            self._journal.state_stored(under_way, message.id, before, message.state_sequence)
            for stored in waiting:
                stored()
        del self._saving[message.id]
        for then in saving.after:
            then()

    async def saved(self, message: QueuedMessage) -> None:
        """Store a message's state record; return when it is on stable storage."""
        stored = asyncio.Event()
        self.save(message, stored.set)
        await stored.wait()

    async def copy(self, message_id: int, state: bytes, before: int) -> None:
        """Store a state record as it was `before`. Raises WrongSequence where there is another by now."""
        under_way = self._journal.begin()
        sequence = await self._store(Record(subjects.state(message_id), state), before)
        self._journal.state_stored(under_way, message_id, before, sequence)

    def after_saving(self, message_id: int, then: Callable[[], None]) -> None:
        """Call `then` once no state record of the message is on its way: now, if none is."""
        saving = self._saving.get(message_id)
        if saving is None:
            then()
        else:
            saving.after.append(then)

    def is_saving(self, message_id: int) -> bool:
        """Whether a state record of that message is being stored."""
        return message_id in self._saving

    def is_busy(self) -> bool:
        """Whether anything is still to be stored."""
        return self._done_task is not None or bool(self._saving)

    async def caught_up(self) -> None:
        """Return when few enough state records are on their way to begin more."""
        while len(self._saving) > SAVING_ENOUGH:
            await asyncio.wait(
                [s.task for s in self._saving.values() if s.task is not None], return_when=asyncio.FIRST_COMPLETED
            )

    async def settled(self) -> None:
        """Return when everything given so far is stored (for an orderly end)."""
        while self.is_busy():
            tasks = [s.task for s in self._saving.values() if s.task is not None]
            if self._done_task is not None:
                tasks.append(self._done_task)
            if all(task.done() for task in tasks):
                return  # by a fault: what is not stored is told again by the workers
            await asyncio.wait(tasks)
