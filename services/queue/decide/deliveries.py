"""The deliveries under way: qmail's numbers for them, and whether their workers still live.

Times are those of time.monotonic: whether a worker is alive must not depend on the date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from qmail.control.routing import LOCAL, REMOTE
from qmail.queue.deliveries import SILENCE_SECONDS

# Message and recipient number.
Key: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class Delivery:
    """One delivery under way."""

    number: int  # qmail's delivery number
    channel: str
    attempt: int
    heard: float


class Deliveries:
    """Who runs what."""

    def __init__(self) -> None:
        self._running: dict[Key, Delivery] = {}
        self._count = 0
        self.in_use = {LOCAL: 0, REMOTE: 0}

    def begin(self, key: Key, channel: str, attempt: int, monotonic: float) -> int:
        self._count += 1
        self._running[key] = Delivery(self._count, channel, attempt, monotonic)
        self.in_use[channel] += 1
        return self._count

    def end(self, key: Key) -> int:
        """A delivery has ended; its number, or one of its own where none was under way."""
        delivery = self._running.pop(key, None)
        if delivery is None:
            self._count += 1
            return self._count
        self.in_use[delivery.channel] -= 1
        return delivery.number

    def get(self, key: Key) -> Delivery | None:
        """The delivery to a recipient, if one is under way."""
        return self._running.get(key)

    def named(self, running: Iterable[tuple[int, int, int]], monotonic: float) -> None:
        """A worker names what it runs: message, recipient number, attempt."""
        for message_id, number, attempt in running:
            delivery = self._running.get((message_id, number))
            if delivery is not None and delivery.attempt == attempt:
                delivery.heard = monotonic

    def excuse(self, monotonic: float) -> None:
        """Nobody could be heard: their silence says nothing until they can be again."""
        for delivery in self._running.values():
            delivery.heard = monotonic

    def silent(self, monotonic: float) -> list[tuple[Key, Delivery]]:
        """What no worker has named for too long."""
        return [(key, each) for key, each in self._running.items() if monotonic - each.heard > SILENCE_SECONDS]

    def __len__(self) -> int:
        return len(self._running)


class Workers:
    """The workers that take jobs, by channel."""

    def __init__(self) -> None:
        self._heard: dict[str, dict[str, float]] = {LOCAL: {}, REMOTE: {}}

    def hear(self, channel: str, worker: str, monotonic: float, *, stopping: bool) -> bool:
        """A worker speaks; whether that changes whether the channel has any."""
        had = self.are_there(channel)
        if stopping:
            self._heard[channel].pop(worker, None)
        else:
            self._heard[channel][worker] = monotonic
        return self.are_there(channel) != had

    def forget_silent(self, monotonic: float) -> None:
        """Who has not spoken for long is given no work."""
        for workers in self._heard.values():
            for worker in [w for w, heard in workers.items() if monotonic - heard > SILENCE_SECONDS]:
                del workers[worker]

    def are_there(self, channel: str) -> bool:
        """Whether anybody takes the channel's jobs."""
        return bool(self._heard[channel])
