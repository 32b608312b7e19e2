"""Which records of JOURNAL are needed: all below the first of them are forgotten at once, and none in any other way.

The server leaves no mark where a record was overwritten. Of a subject that is purged only the last record is marked as
gone, and after the server's death the one before it lives again (measured; docs/decisions/0008). So a message that
has ended leaves its state record where it is, and the done record that says so lies behind it, until a purge by
sequence has passed both, in this order.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from services.queue.decide.waiting import NumberSet

# So many records that nobody needs may lie behind one that is needed before that one is written anew at the end; more
# where as many more are needed: then no end costs more than one record.
BEHIND_ENOUGH = 1000

_NUMBERS = "q"


class StatePositions:
    """(sequence, message) of the state records that are needed, in order of sequence: 16 bytes each."""

    def __init__(self) -> None:
        self._sequences, self._ids = array(_NUMBERS), array(_NUMBERS)
        self._first = 0  # all before this index are gone
        self._gone = 0  # whose id is 0

    def add(self, sequence: int, message_id: int) -> None:
        """A record is needed. Mostly they come in order."""
        if not self._sequences or sequence > self._sequences[-1]:
            self._sequences.append(sequence)
            self._ids.append(message_id)
            return
        index = bisect_left(self._sequences, sequence)
        if self._sequences[index] == sequence:
            self._gone -= self._ids[index] == 0
            self._ids[index] = message_id
        else:
            self._sequences.insert(index, sequence)
            self._ids.insert(index, message_id)
        self._first = min(self._first, index)

    def discard(self, sequence: int) -> None:
        """A record is not needed any more, if it was."""
        index = bisect_left(self._sequences, sequence)
        if index == len(self._sequences) or self._sequences[index] != sequence or not self._ids[index]:
            return
        self._ids[index] = 0
        self._gone += 1
        while self._first < len(self._ids) and not self._ids[self._first]:
            self._first += 1
        if self._gone > BEHIND_ENOUGH and self._gone > len(self._ids) // 2:
            self._close_up()

    def _close_up(self) -> None:
        kept = 0
        for index, message_id in enumerate(self._ids):
            if message_id:
                self._sequences[kept], self._ids[kept] = self._sequences[index], message_id
                kept += 1
        del self._sequences[kept:], self._ids[kept:]
        self._first = self._gone = 0

    def __len__(self) -> int:
        return len(self._ids) - self._gone

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for index in range(self._first, len(self._ids)):
            if self._ids[index]:
                yield self._sequences[index], self._ids[index]


@dataclass(slots=True)
class DoneRecord:
    """A stored done record: needed until IN's floor has passed `sequence_in` and the clean-ups are over."""

    sequence: int
    sequence_in: int


class Journal:
    """The scheduler's knowledge of JOURNAL."""

    def __init__(self) -> None:
        self._states = StatePositions()
        self._done: deque[DoneRecord] = deque()
        # Messages whose state record stays, though the scheduler does not know them.
        self.apart: set[int] = set()
        self._behind = NumberSet()  # sequences of what is not needed and cannot go yet
        # What is being stored lies at the number here or above it, whatever becomes of the answer; in order.
        self._under_way: dict[int, int] = {}
        self._count = 0
        self._last = 0
        self._complete = False

    # What is stored.

    def begin(self) -> int:
        """Something is going to be stored; the number to tell that it was."""
        self._count += 1
        self._under_way[self._count] = self._last + 1
        return self._count

    def state_stored(self, under_way: int, message_id: int, before: int, sequence: int) -> None:
        """A state record is stored in the place of one `before`; 0: there was none."""
        self._states.discard(before)
        self._states.add(sequence, message_id)
        self._stored(under_way, sequence)

    def done_stored(self, under_way: int, sequence: int, sequence_in: int) -> None:
        """A done record is stored whose messages lie in IN at `sequence_in` or below."""
        self._done.append(DoneRecord(sequence, sequence_in))
        self._stored(under_way, sequence)

    def _stored(self, under_way: int, sequence: int) -> None:
        del self._under_way[under_way]
        self._last = max(self._last, sequence)

    # What is not needed any more.

    def state_ended(self, sequence: int) -> None:
        """The message has ended, and the record that says so is stored."""
        self._states.discard(sequence)
        self._behind.add(sequence)

    def state_is_elsewhere(self, sequence: int) -> None:
        """The message has another record by now."""
        self._states.discard(sequence)

    def release_done(self, floor_of_in: int) -> None:
        """IN was purged below its floor, and no single removal is outstanding."""
        while self._done and self._done[0].sequence_in < floor_of_in:
            self._behind.add(self._done.popleft().sequence)

    # After a restart.

    def adopt_states(self, states: StatePositions, ended: set[int], ours: set[int]) -> None:
        """The state records that JOURNAL held when we began. `ended` are messages that need theirs no more; of `ours`
        this scheduler has stored one itself. `states` is of no use afterwards."""
        for sequence, message_id in [row for row in states if row[1] in ended or row[1] in ours]:
            states.discard(sequence)
            if message_id in ended:
                self._behind.add(sequence)
        for sequence, message_id in self._states:
            states.add(sequence, message_id)
        self._states = states

    def adopt_done(self, done: list[DoneRecord], last: int) -> None:
        """The done records that JOURNAL held when we began, up to its `last` record: now all of it is known."""
        self._done = deque(sorted({each.sequence: each for each in [*done, *self._done]}.values(), key=_sequence))
        self._last = max(self._last, last)
        self._complete = True

    # What may go.

    def floor(self) -> int:
        """The first record that is needed: all below may go. 0 while that is not known."""
        if not self._complete:
            return 0
        firsts = [next(iter(self._states), (self._last + 1, 0))[0], self._last + 1]
        if self._done:
            firsts.append(self._done[0].sequence)
        if self._under_way:
            firsts.append(next(iter(self._under_way.values())))
        return min(firsts)

    def is_crowded(self, *, nearly_full: bool) -> bool:
        """Whether so much lies behind the floor that what holds it should be written anew."""
        floor = self.floor()
        while (first := next(iter(self._behind), floor)) < floor:
            self._behind.discard(first)
        enough = len(self._states) // 8 if nearly_full else len(self._states) + BEHIND_ENOUGH
        return len(self._behind) > enough

    def oldest_states(self, most: int) -> list[tuple[int, int]]:
        """(sequence, message) of the state records that hold the floor."""
        return [row for row, _ in zip(self._states, range(most), strict=False)]


def _sequence(record: DoneRecord) -> int:
    return record.sequence
