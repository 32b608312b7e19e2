"""Message numbers: qmail's `msg` and `qp` and the middle of the Maildir name, in one decimal number.

A number is milliseconds since 2020 x 10^6 + node x 10^3 + counter, below 2^63 until the year 2312. Each
process that puts messages holds a node number; the bus keeps, per node, up to which millisecond it may have
given numbers out, so neither a clock set back nor a killed process repeats one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

EPOCH_2020_MS = 1_577_836_800_000
NODES = 1000
PER_MILLISECOND = 1000


class NoNumbers(Exception):
    """The node's range has ended and was not renewed: temporary."""


def milliseconds_of(message_id: int) -> int:
    """When the number was given out, in milliseconds since the epoch (by that node's clock)."""
    return message_id // (NODES * PER_MILLISECOND) + EPOCH_2020_MS


class IdSource:
    """Gives out the numbers of one node within the range of milliseconds that it holds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._node = 0
        self._last_ms = 0
        self._until_ms = 0
        self._counter = 0

    def grant(self, node: int, from_ms: int, until_ms: int) -> None:
        """Take a range: numbers of `node` for milliseconds in (from_ms, until_ms], both since the epoch."""
        if node != self._node or from_ms > self._last_ms:
            self._node, self._last_ms, self._counter = node, from_ms, PER_MILLISECOND
        self._until_ms = until_ms

    @property
    def last_ms(self) -> int:
        """The last millisecond that a number was given out for."""
        return self._last_ms

    def next(self) -> int:
        """A number never given out before. Raises NoNumbers when the range has ended."""
        now = int(self._clock() * 1000)
        if now > self._last_ms:
            self._last_ms, self._counter = now, 0
        else:
            self._counter += 1
            if self._counter >= PER_MILLISECOND:
                self._last_ms, self._counter = self._last_ms + 1, 0
        if self._last_ms > self._until_ms:
            raise NoNumbers(f"node {self._node} holds numbers until {self._until_ms} ms")
        return ((self._last_ms - EPOCH_2020_MS) * NODES + self._node) * PER_MILLISECOND + self._counter
