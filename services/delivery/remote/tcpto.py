"""Hosts that do not answer are left alone for an hour: qmail's tcpto table, in a worker's memory.

Source: qmail-tcpto(8), tcpto.c. Only time-outs count; a refused connection costs nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

MAX_HOSTS = 1024
_MAX_COUNT = 10
_SAME_TIMEOUT_SECONDS = 120  # time-outs of parallel deliveries count once
_STEP_SECONDS = 64


@dataclass(frozen=True, slots=True)
class Downed:
    """One address: how many time-outs in a row, and when the last one was counted (seconds)."""

    address: str
    timeouts: int
    when_seconds: float


class TcpTo:
    """Which addresses timed out lately. `clock` gives seconds; at most `size` addresses are kept."""

    def __init__(self, clock: Callable[[], float], size: int = MAX_HOSTS) -> None:
        self._clock = clock
        self._size = size
        self._hosts: dict[str, Downed] = {}

    def down(self, address: str) -> bool:
        """Whether to leave the address alone: two time-outs, the last 64 to 97 minutes ago at most."""
        host = self._hosts.get(address)
        if host is None or host.timeouts < 2:
            return False
        # The jitter spreads the first attempts after the pause.
        pause = (60 + random.randrange(32)) * _STEP_SECONDS
        return self._clock() - host.when_seconds < pause

    def succeeded(self, address: str) -> None:
        """The address answered, by accepting or by refusing the connection."""
        self._hosts.pop(address, None)

    def timed_out(self, address: str) -> None:
        """The address did not answer within timeoutconnect."""
        now = self._clock()
        host = self._hosts.get(address)
        if host is None:
            if len(self._hosts) >= self._size:
                self._forget_one()
            self._hosts[address] = Downed(address, 1, now)
        elif now >= host.when_seconds + _SAME_TIMEOUT_SECONDS:
            self._hosts[address] = Downed(address, min(host.timeouts + 1, _MAX_COUNT), now)

    def _forget_one(self) -> None:
        oldest = min(self._hosts.values(), key=lambda host: host.when_seconds + (host.timeouts << 10))
        del self._hosts[oldest.address]

    def clear(self) -> None:
        """Forget all (qmailctl flush)."""
        self._hosts.clear()

    def entries(self) -> list[Downed]:
        """What qmail-tcpto shows."""
        return list(self._hosts.values())
