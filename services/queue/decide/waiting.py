"""What memory keeps of messages that wait on the bus alone: a number, and when. A million of them must fit. Pure."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from collections.abc import Iterator

# Numbers are below 2^63: eight bytes each.
_NUMBERS = "q"
# A part is split when it is longer than this: what an insertion has to move.
_PART = 1024


class NumberSet:
    """A set of message numbers, in order."""

    def __init__(self) -> None:
        self._parts: list[array[int]] = []
        self._lasts: list[int] = []  # the greatest number of each part
        self._count = 0

    def copy(self) -> NumberSet:
        other = NumberSet()
        other._parts, other._lasts, other._count = [part[:] for part in self._parts], self._lasts[:], self._count
        return other

    def take(self, others: NumberSet) -> None:
        """Put the numbers of another set in, which is of no use afterwards."""
        fewer = others
        if len(others) > len(self):
            fewer = self.copy()
            self._parts, self._lasts, self._count = others._parts, others._lasts, others._count
        for number in fewer:
            self.add(number)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        for part in self._parts:
            yield from part

    def __contains__(self, number: int) -> bool:
        if not self._count:
            return False
        index, place = self._find(number)
        return index < len(self._parts) and self._parts[index][place] == number

    def _find(self, number: int) -> tuple[int, int]:
        """Part and place of the first number that is not less; the part after the last where there is none."""
        index = bisect_left(self._lasts, number)
        return (index, bisect_left(self._parts[index], number)) if index < len(self._parts) else (index, 0)

    def add(self, number: int) -> None:
        """Put a number in; again: nothing happens."""
        index, place = self._find(number)
        if index < len(self._parts) and self._parts[index][place] == number:
            return
        self._count += 1
        if index == len(self._parts):
            # Mostly they come in order; a part is begun when the last is full, and full parts stay full.
            if not self._parts or len(self._parts[-1]) >= _PART:
                self._parts.append(array(_NUMBERS, [number]))
                self._lasts.append(number)
                return
            index, place = index - 1, len(self._parts[-1])
        part = self._parts[index]
        part.insert(place, number)
        self._lasts[index] = part[-1]
        if len(part) > _PART:
            self._split(index)

    def _split(self, index: int) -> None:
        part = self._parts[index]
        half = len(part) // 2
        self._parts[index : index + 1] = [part[:half], part[half:]]
        self._lasts[index : index + 1] = [part[half - 1], part[-1]]

    def discard(self, number: int) -> None:
        """Take a number out, if it is there."""
        index, place = self._find(number)
        if index == len(self._parts) or self._parts[index][place] != number:
            return
        self._count -= 1
        part = self._parts[index]
        del part[place]
        if part:
            self._lasts[index] = part[-1]
        else:
            del self._parts[index], self._lasts[index]


class DueTimes:
    """When messages are due, in seconds since the epoch. A message may be named more than once: whoever takes it out
    looks whether that still holds."""

    def __init__(self) -> None:
        self._at: dict[int, array[int]] = {}
        self._seconds: list[int] = []  # the keys of `_at`, as a heap
        self._now: array[int] = array(_NUMBERS)  # what is taken out at present, the next one last
        self._now_due = 0

    def push(self, due: int, number: int) -> None:
        """Note that a message is due."""
        numbers = self._at.get(due)
        if numbers is None:
            numbers = self._at[due] = array(_NUMBERS)
            heapq.heappush(self._seconds, due)
        numbers.append(number)

    def pop(self, now: int) -> tuple[int, int] | None:
        """(due, number) of the next that is due by `now`; None while nothing is."""
        if not self._now:
            if not self._seconds or self._seconds[0] > now:
                return None
            self._now_due = heapq.heappop(self._seconds)
            self._now = self._at.pop(self._now_due)
            self._now.reverse()
        return self._now_due, self._now.pop()

    def hasten(self, now: int) -> None:
        """Everything is due now, in the order in which it would have been."""
        self._now.reverse()
        for due in sorted(self._seconds):
            self._now += self._at[due]
        self._now.reverse()
        self._now_due = now
        self._at.clear()
        self._seconds.clear()

    def take(self, others: DueTimes) -> None:
        """Note everything of another one of which nothing was taken out yet; it is of no use afterwards."""
        for due, numbers in others._at.items():
            known = self._at.get(due)
            if known is None:
                self._at[due] = numbers
                heapq.heappush(self._seconds, due)
            else:
                known += numbers
