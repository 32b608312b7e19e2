"""Recipients whose attempt has begun and whose delivery has not: in order, each account within its share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from qmail.control.routing import LOCAL, REMOTE
from services.queue.decide.message import Channel, QueuedMessage
from services.queue.decide.shares import Shares

# A channel with so much to start reads no more of what sleeps: a flush must not bring the whole queue into memory.
READY_ENOUGH = 1000
# With so much to start, new messages wait on the bus as well: a backlog must not outgrow the memory.
READY_MOST = 50_000
Entry: TypeAlias = tuple[QueuedMessage, int]


class Ready:
    """What can be started. `messages` are those in memory: an entry of another counts no more."""

    def __init__(self, shares: Shares[Entry], messages: Mapping[int, QueuedMessage]) -> None:
        self._shares, self._messages = shares, messages
        self._queues: dict[str, deque[Entry]] = {LOCAL: deque(), REMOTE: deque()}

    def begin(self, message: QueuedMessage, name: str, channel: Channel) -> None:
        """An attempt at every undone recipient of the channel begins."""
        channel.ready = channel.undone - channel.running
        self._queues[name] += [(message, number) for number in sorted(channel.ready)]

    def waiting(self, name: str) -> int:
        """How many entries the channel has."""
        return len(self._queues[name]) + (self._shares.held if name == LOCAL else 0)

    def release(self, most: int) -> None:
        """What waited for its own account's slow deliveries and need not any more is the next."""
        if self._shares.held:
            self._queues[LOCAL].extendleft(reversed([*self._shares.released(most)]))

    def to_start(self, name: str, most: int, in_use: Mapping[str, int]) -> Iterator[Entry]:
        """One after the other that is to be started, as far as the channel's concurrency and the accounts' shares
        allow; `in_use` is what runs, and grows meanwhile. Slow local deliveries have as many places of their own as the
        channel has."""
        queue, shares, local = self._queues[name], self._shares, name == LOCAL
        while queue and in_use[name] - (min(shares.slow, most) if local else 0) < most:
            message, number = entry = queue.popleft()
            if self._waits(message, name, number) and not (
                local and shares.hold(entry, message.addresses[number], most)
            ):
                yield entry

    def _waits(self, message: QueuedMessage, name: str, number: int) -> bool:
        channel = message.channels[name]
        waits = number in channel.undone and number not in channel.running
        return waits and self._messages.get(message.id) is message
