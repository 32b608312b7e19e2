"""A share of the channel for each account, so that one whose deliveries take long does not keep the others waiting.

A delivery is slow once its worker has said so: a program that waits, a locked mbox. Slow ones have places of their own,
as many again as the channel has, and of these no account has more than half. Pure.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from qmail.message.address import Address

Entry = TypeVar("Entry")
Key = Hashable


def itself(address: Address) -> bytes:
    """In the place of an account that is not known: the address."""
    return address.raw.lower()


def share_of(concurrency: int) -> int:
    """How many slow deliveries an account may have at once."""
    return max(1, concurrency // 2)


class Shares(Generic[Entry]):
    """account_of: whose mailbox an address is; asked only while there are slow deliveries."""

    def __init__(self, account_of: Callable[[Address], bytes]) -> None:
        self._account_of = account_of
        self._slow: dict[Key, bytes] = {}
        self._counts: Counter[bytes] = Counter()
        self._held: dict[bytes, deque[Entry]] = {}
        self.held = 0

    @property
    def slow(self) -> int:
        """How many deliveries that run are slow."""
        return len(self._slow)

    def slowed(self, key: Key, address: Address) -> bool:
        """A delivery that runs has become slow; False where that was known."""
        if key in self._slow:
            return False
        account = self._slow[key] = self._account_of(address)
        self._counts[account] += 1
        return True

    def ended(self, key: Key) -> None:
        """A delivery runs no more, slow or not."""
        account = self._slow.pop(key, None)
        if account is not None:
            self._counts[account] -= 1
            if not self._counts[account]:
                del self._counts[account]

    def hold(self, entry: Entry, address: Address, concurrency: int) -> bool:
        """Whether what would be started has to wait for its own account's slow deliveries; it is kept here then."""
        if not self._slow:
            return False
        account = self._account_of(address)
        if self._counts[account] < share_of(concurrency):
            return False
        self._held.setdefault(account, deque()).append(entry)
        self.held += 1
        return True

    def released(self, concurrency: int) -> Iterator[Entry]:
        """What need not wait any more, as much of each account as it has places."""
        for account in list(self._held):
            waiting = self._held[account]
            for _ in range(min(len(waiting), share_of(concurrency) - self._counts[account])):
                self.held -= 1
                yield waiting.popleft()
            if not waiting:
                del self._held[account]
