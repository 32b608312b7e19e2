"""Slowing down who guesses: per account and address, growing, in a bounded table. Pure: time is given."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

FIRST_DELAY_SECONDS: Final = 1.0
MAX_DELAY_SECONDS: Final = 16.0
#: Who has to wait longer than this is told to come back later.
MAX_WAIT_SECONDS: Final = 30.0
FORGET_SECONDS: Final = 900.0
MAX_ENTRIES: Final = 10_000

Key = tuple[bytes, str]


@dataclass(slots=True)
class _Entry:
    failures: int
    free_at: float
    last: float


class Throttle:
    """The first attempt waits for nothing; the others start one after another, after failures ever further apart."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def admit(self, key: Key, now: float) -> float | None:
        """Seconds to wait before this attempt; its place in the row is taken. None: too many are in it."""
        entry = self._entries.get(key)
        if entry is None or now - entry.last > FORGET_SECONDS:
            # Nothing failed yet; but who tries many passwords at once is not served at once with all of them.
            entry = self._enter(key, now)
        start = max(now, entry.free_at)
        if start - now > MAX_WAIT_SECONDS:
            return None
        entry.free_at = start + _delay(entry.failures)
        return start - now

    def failed(self, key: Key, now: float) -> None:
        """A wrong password."""
        entry = self._entries.get(key) or self._enter(key, now)
        entry.failures += 1
        entry.last = now
        entry.free_at = max(entry.free_at, now + _delay(entry.failures))
        self._entries.move_to_end(key)

    def _enter(self, key: Key, now: float) -> _Entry:
        entry = self._entries[key] = _Entry(0, now, now)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return entry

    def succeeded(self, key: Key) -> None:
        """The right password."""
        self._entries.pop(key, None)


def _delay(failures: int) -> float:
    return float(min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(failures - 1, 10)))
