"""Rebuilding the scheduler's memory from the streams: what is in IN and JOURNAL is the truth.

JOURNAL is read first to its end, then IN in portions, so that a long queue does not lie in memory twice; a record of IN
that came after we began is new mail and does not wait for any of this.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, field

from qmail.bus import subjects
from qmail.bus.ports import Stored
from qmail.message.envelope import Envelope, EnvelopeError
from services.queue.decide.waiting import DueTimes, NumberSet
from services.queue.store.journal import DoneRecord, StatePositions
from services.queue.store.records import ALL


def read_waiting(record: bytes) -> tuple[list[tuple[str, int]], bool]:
    """What the rebuild needs of a state record: when its channels are due, and whether HOLD has the message.

    Raises EnvelopeError for anything else."""
    try:
        f = json.loads(record)
        return [(name, int(f["due"][name])) for name, undone in f["undone"].items() if undone], bool(f["held"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EnvelopeError(f"not a state record: {error}") from error


@dataclass(slots=True)
class Recovery:
    """What has been read so far."""

    old_last: int  # IN's last sequence when we began
    done: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    # Messages with a state record, those of them that HOLD has, and when they are due.
    waiting: NumberSet = field(default_factory=NumberSet)
    held: NumberSet = field(default_factory=NumberSet)
    dues: dict[str, DueTimes] = field(default_factory=lambda: {"local": DueTimes(), "remote": DueTimes()})
    # Where JOURNAL has those records, and the last of all its records.
    states: StatePositions = field(default_factory=StatePositions)
    journal_last: int = 0
    # Of the messages that only IN has, those that it has not shown yet.
    unseen: NumberSet = field(default_factory=NumberSet)
    # Records of IN that have been read and not been taken.
    old: list[Stored] = field(default_factory=list)
    # Of the messages that a done record names: where IN has them.
    sequences: dict[int, int] = field(default_factory=dict)
    done_sequences: list[tuple[int, list[int]]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    # Messages whose state record cannot be read: nobody knows whom they have reached.
    left: set[int] = field(default_factory=set)
    state_read: asyncio.Event = field(default_factory=asyncio.Event)
    in_read: asyncio.Event = field(default_factory=asyncio.Event)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def take_old(self, stored: Stored) -> None:
        """A record of IN; what came after we began is none of ours."""
        if stored.sequence <= self.old_last:
            self.old.append(stored)
            self.more.set()
        if stored.sequence >= self.old_last:
            self.all_read()

    def all_read(self) -> None:
        """IN has no older record that has not been read."""
        self.in_read.set()
        self.more.set()

    async def portion(self) -> list[Stored]:
        """The records that have been read meanwhile; none when all have been."""
        await self.more.wait()
        portion, self.old = self.old, []
        if not self.in_read.is_set():
            self.more.clear()
        return portion

    def take_state(self, stored: Stored) -> None:
        """A record of JOURNAL from before we began."""
        kind = stored.subject.split(".", 1)[0]
        self.journal_last = stored.sequence
        try:
            if kind == "done":
                rows = json.loads(stored.payload)["done"]
                for message_id, number in rows:
                    self.done[message_id].add(number)
                self.done_sequences.append((stored.sequence, [row[0] for row in rows]))
            elif kind == "state":
                message_id = subjects.id_of(stored.subject)
                dues, held = read_waiting(stored.payload)
                self._take_waiting(message_id, dues, held=held)
                self.states.add(stored.sequence, message_id)
        except (EnvelopeError, ValueError, KeyError, TypeError) as error:
            self.unreadable.append(f"{stored.subject}: {error}")
            if kind == "state" and (number := stored.subject.partition(".")[2]).isdigit():
                self.left.add(int(number))
                self.states.add(stored.sequence, int(number))

    def _take_waiting(self, message_id: int, dues: list[tuple[str, int]], *, held: bool) -> None:
        # What nobody is left to deliver to is finished at once.
        for name, due in dues or [("local", 0)]:
            self.dues[name].push(due, message_id)
        self.waiting.add(message_id)
        (self.held.add if held else self.held.discard)(message_id)
        (self.unseen.discard if held else self.unseen.add)(message_id)

    def ended_waiting(self) -> set[int]:
        """The messages whose state record outlived them."""
        return {i for i, numbers in self.done.items() if ALL in numbers and i in self.waiting}

    def disregard(self, message_id: int) -> None:
        for numbers in (self.waiting, self.held, self.unseen):
            numbers.discard(message_id)

    def done_records(self) -> list[DoneRecord]:
        """The done records: needed as long as IN or JOURNAL holds what they end."""
        return [
            DoneRecord(sequence, max((self.sequences.get(i, 0) for i in ids), default=0))
            for sequence, ids in self.done_sequences
        ]

    def is_ended(self, message_id: int, envelope: Envelope) -> bool:
        """Whether the done records cover the message."""
        done = self.done.get(message_id, set())
        return ALL in done or len(done) >= len(envelope.recipients) > 0
