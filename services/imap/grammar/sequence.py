"""Sequence sets: `1:3,7,9:*` (RFC 3501 section 9, seq-set), and `$`, the saved result (RFC 5182)."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.imap.grammar.errors import BadSyntax

_RANGE = re.compile(rb"([1-9][0-9]{0,9}|\*)(?::([1-9][0-9]{0,9}|\*))?\Z")
MAX_NUMBER = 2**32 - 1
#: `*` until it is known what the largest number is.
STAR = MAX_NUMBER + 1


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Ranges as sent, both ends within; STAR stands for `*`. `saved`: the result of the last SEARCH that saved one,
    instead of ranges."""

    ranges: tuple[tuple[int, int], ...]
    saved: bool = False

    def resolved(self, largest: int) -> list[tuple[int, int]]:
        """Ranges in ascending order, not overlapping, with `*` = `largest`; `5:3` is `3:5`."""
        ends = ((largest if a == STAR else a, largest if b == STAR else b) for a, b in self.ranges)
        merged: list[tuple[int, int]] = []
        for low, high in sorted((min(a, b), max(a, b)) for a, b in ends):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], high))
            else:
                merged.append((low, high))
        return merged


SAVED = SequenceSet((), saved=True)


def parse_sequence_set(text: bytes) -> SequenceSet:
    """Raises BadSyntax for anything else, also for 0 and for numbers beyond 32 bits."""
    if text == b"$":
        return SAVED
    ranges = []
    for item in text.split(b","):
        found = _RANGE.match(item)
        if found is None:
            raise BadSyntax("not a message set")
        first = _number(found[1])
        ranges.append((first, first if found[2] is None else _number(found[2])))
    return SequenceSet(tuple(ranges))


def _number(text: bytes) -> int:
    if text == b"*":
        return STAR
    value = int(text)
    if value > MAX_NUMBER:
        raise BadSyntax("number too large")
    return value


def sequence_numbers(wanted: SequenceSet, exists: int) -> list[int] | None:
    """The message numbers meant; None if one of them does not exist (RFC 3501: an error for numbers, not for UIDs).

    With `*` a range ends at the last message whatever its other end is; in an empty mailbox it means nothing."""
    clamped = tuple((min(r[0], exists), min(r[1], exists)) if STAR in r else r for r in wanted.ranges)
    ranges = SequenceSet(tuple(r for r in clamped if r != (0, 0))).resolved(exists)
    if ranges and ranges[-1][1] > exists:
        return None
    return [number for low, high in ranges for number in range(low, high + 1)]


def positions_of_uids(wanted: SequenceSet, uids: Sequence[int]) -> list[int]:
    """Indexes into the ascending `uids` of those that are meant; missing ones are no error."""
    if not uids:
        return []
    found: list[int] = []
    for low, high in wanted.resolved(uids[-1]):
        found.extend(range(bisect_left(uids, low), bisect_right(uids, high)))
    return found


def render_set(numbers: Iterable[int]) -> bytes:
    """`1:3,7` for numbers in their order; only ascending neighbours are joined (COPYUID keeps order)."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b) for a, b in parts)
