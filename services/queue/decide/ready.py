"""Recipients whose attempt has begun and whose delivery has not: in order, each account within its share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from qmail.control.routing import LOCAL, REMOTE
from qmail.message.address import Address
from services.queue.decide.deliveries import Key
from services.queue.decide.message import Channel, QueuedMessage
from services.queue.decide.shares import Shares

# A channel with so much to start reads no more of what sleeps: a flush must not bring the whole queue into memory.
READY_ENOUGH = 1000
# With so much to start, new messages wait on the bus as well: a backlog must not outgrow the memory.
READY_MOST = 50_000
Entry: TypeAlias = tuple[QueuedMessage, int]


class Ready:
    """What can be started. account_of: whose mailbox the address of a local delivery is; is_known: whether a message is
    still in memory."""

    def __init__(self, account_of: Callable[[Address], bytes], is_known: Callable[[QueuedMessage], bool]) -> None:
        self._is_known = is_known
        self._shares: Shares[Entry] = Shares(account_of)
        self._queues: dict[str, deque[Entry]] = {LOCAL: deque(), REMOTE: deque()}

    def begin(self, message: QueuedMessage, name: str, channel: Channel) -> None:
        """An attempt at every undone recipient of the channel begins."""
        channel.ready = sorted(channel.undone - channel.running)
        queue = self._queues[name]
        for number in channel.ready:
            queue.append((message, number))

    def waiting(self, name: str) -> int:
        """How many entries the channel has."""
        return len(self._queues[name]) + (self._shares.held if name == LOCAL else 0)

    def next(self, name: str, most: int, in_use: int) -> Entry | None:
        """The next to be started, as far as the channel's concurrency and the accounts' shares allow."""
        queue = self._queues[name]
        while queue and in_use - self._slow(name, most) < most:
            entry = queue.popleft()
            if self._waits(name, *entry) and not self._is_held(name, entry, most):
                return entry
        return None

    def _waits(self, name: str, message: QueuedMessage, number: int) -> bool:
        channel = message.channels[name]
        return number in channel.undone and number not in channel.running and self._is_known(message)

    def _is_held(self, name: str, entry: Entry, most: int) -> bool:
        message, number = entry
        return name == LOCAL and self._shares.hold(entry, message.addresses[number], most)

    def _slow(self, name: str, most: int) -> int:
        """Slow local deliveries have as many places of their own as the channel has."""
        return min(self._shares.slow, most) if name == LOCAL else 0

    def release(self, most: int) -> None:
        """What waited for its own account's slow deliveries and need not any more is the next."""
        if self._shares.held:
            self._queues[LOCAL].extendleft(reversed([*self._shares.released(most)]))

    def slowed(self, key: Key, address: Address) -> bool:
        """A local delivery takes long; False where that was known."""
        return self._shares.slowed(key, address)

    def ended(self, key: Key) -> None:
        """A delivery runs no more."""
        self._shares.ended(key)
