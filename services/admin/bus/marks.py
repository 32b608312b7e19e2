"""What the bus was seen to hold, and whether it holds less now than it had acknowledged (docs/decisions/0010).

A stream's last sequence never goes back. IN is a log: what is in it is purged from below alone, so that it has no
gaps between its first and last. Nothing here speaks to the bus.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """A stream as it was seen: `last_time` is the server's stamp of its last record."""

    first: int
    last: int
    last_time: str
    records: int

    @property
    def missing(self) -> int:
        """How many sequences between first and last have no record."""
        return self.last - self.first + 1 - self.records if self.records else 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `read_mark` reads it."""
        return asdict(self)


def read_mark(fields: Mapping[str, Any]) -> Mark:
    """From JSON. Raises KeyError, TypeError, ValueError."""
    return Mark(int(fields["first"]), int(fields["last"]), str(fields["last_time"]), int(fields["records"]))


def mark_of(state: Mapping[str, Any]) -> Mark:
    return Mark(state["first_seq"], state["last_seq"], state["last_ts"], state["messages"])


def went_back(before: Mark, now: Mark) -> list[Range]:
    """What lay behind the last sequence that there is now."""
    if now.last >= before.last or not before.records:
        return []
    return [(max(now.last + 1, before.first), before.last)]


def replaced(before: Mark, time_there: str | None) -> list[Range]:
    """What was lost where the record at the last sequence of before is another one now. From where on is not known."""
    return [] if time_there in (None, before.last_time) or not before.records else [(before.first, before.last)]


def ranges_of(sequences: Iterable[int]) -> list[Range]:
    """Neighbours together."""
    ordered = sorted(set(sequences))
    if not ordered:
        return []
    ends = [a for a, b in pairwise(ordered) if b != a + 1] + [ordered[-1]]
    begins = [ordered[0]] + [b for a, b in pairwise(ordered) if b != a + 1]
    return list(zip(begins, ends, strict=True))


def without(ranges: Iterable[Range], known: Iterable[Range]) -> list[Range]:
    """The ranges without what lies in the known ones."""
    left = list(ranges)
    for low, high in known:
        cut: list[Range] = []
        for first, last in left:
            cut += [part for part in ((first, min(last, low - 1)), (max(first, high + 1), last)) if part[0] <= part[1]]
        left = cut
    return left


def count(ranges: Iterable[Range]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def render_ranges(ranges: Iterable[Range]) -> str:
    """`7, 26-50`."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
