"""Whose password is verified next: networks take turns, not requests (docs/decisions/0012-guesses-cost-budgets.md).

First those whose network the account is known to use, then networks from which nothing was wrong lately, then the
others; in each the networks take turns, and in a network its accounts. Who has to wait for a budget waits beside the
row and holds nobody up. Pure: time is given.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.auth.budgets import Budget

#: Whoever has waited so long is told to come later.
PATIENCE_SECONDS: Final = 30.0
#: From a network without a wrong password the first attempt waits no longer for what others have guessed.
NEWCOMER_SECONDS: Final = 5.0
# Timers and sums of fractions are not exact: what may begin within this time may begin now.
_SLACK_SECONDS: Final = 0.001
MAX_WAITING_PER_NETWORK: Final = 100
MAX_WAITING: Final = 2000


@dataclass(slots=True, eq=False)
class Attempt:
    """One password to be verified. `address` is None where many share it, and for a known network."""

    account: bytes
    network: str
    known: bool
    budgets: tuple[Budget, ...]
    address: Budget | None
    arrived: float
    waiting: bool = True

    def ready_at(self, now: float) -> float:
        """When it may begin."""
        ready = self.in_budget_at(now)
        if ready > now and self.address is not None and self.address.is_clean(now) and not self.address.running:
            return min(ready, max(now, self.arrived + NEWCOMER_SECONDS))
        return ready

    def in_budget_at(self, now: float) -> float:
        """When all its budgets let it begin."""
        return max([budget.ready_at(now) for budget in self.budgets])

    def is_clean(self, now: float) -> bool:
        """Whether nothing speaks against whoever tries it."""
        return (self.address or self.budgets[0]).is_clean(now)


_Accounts: TypeAlias = OrderedDict[bytes, deque[Attempt]]


class _Class:
    """Attempts of one rank: network -> account -> attempts in order of arrival."""

    def __init__(self) -> None:
        self.networks: OrderedDict[str, _Accounts] = OrderedDict()
        self.waiting: dict[str, int] = {}
        self.total = 0

    def add(self, attempt: Attempt) -> None:
        accounts = self.networks.setdefault(attempt.network, OrderedDict())
        accounts.setdefault(attempt.account, deque()).append(attempt)
        self.waiting[attempt.network] = self.waiting.get(attempt.network, 0) + 1
        self.total += 1

    def remove(self, attempt: Attempt) -> None:
        """Whoever was in front goes behind the others."""
        attempt.waiting = False
        self.total -= 1
        network = attempt.network
        accounts = self.networks[network]
        row = accounts[attempt.account]
        row.remove(attempt)
        accounts.move_to_end(attempt.account)
        self.networks.move_to_end(network)
        self.waiting[network] -= 1
        if not row:
            del accounts[attempt.account]
        if not accounts:
            del self.networks[network], self.waiting[network]

    def newest_of_the_longest(self) -> Attempt:
        network = max(self.waiting, key=self.waiting.__getitem__)
        return max((row[-1] for row in self.networks[network].values()), key=lambda attempt: attempt.arrived)


class Row:
    """All that waits."""

    def __init__(self) -> None:
        self._known, self._strangers = _Class(), _Class()
        self._arrivals: deque[Attempt] = deque()
        #: When something may begin that could not at the last `next`; infinity: when something ends.
        self.ready_at = math.inf

    def __len__(self) -> int:
        return self._known.total + self._strangers.total

    def add(self, attempt: Attempt) -> Attempt | None:
        """Let it wait. What finds no room is given back: this one, or a newer one of who has the most waiting."""
        of_class = self._class(attempt)
        if of_class.waiting.get(attempt.network, 0) >= MAX_WAITING_PER_NETWORK:
            return attempt
        of_class.add(attempt)
        self._arrivals.append(attempt)
        if of_class.total <= MAX_WAITING:
            return None
        displaced = of_class.newest_of_the_longest()
        of_class.remove(displaced)
        return displaced

    def next(self, now: float) -> Attempt | None:
        """The attempt whose turn it is; it waits no more."""
        self.ready_at = math.inf
        for of_class in (self._known, self._strangers):
            attempt = self._first(of_class, now)
            if attempt is not None:
                of_class.remove(attempt)
                return attempt
        return None

    def _first(self, of_class: _Class, now: float) -> Attempt | None:
        second = third = None
        for accounts in of_class.networks.values():
            for row in accounts.values():
                attempt = row[0]
                ready = attempt.ready_at(now)
                if ready > now + _SLACK_SECONDS:
                    self.ready_at = min(self.ready_at, ready)
                    if attempt.address is not None and attempt.address.ready_at(now) > now + _SLACK_SECONDS:
                        break  # it has no budget for its other accounts either
                elif not attempt.is_clean(now):
                    third = third or attempt
                elif attempt.in_budget_at(now) <= now + _SLACK_SECONDS:
                    return attempt
                else:  # beyond what others have guessed of its account
                    second = second or attempt
        return second or third

    def expired(self, now: float) -> list[Attempt]:
        """Those that have waited too long; they wait no more."""
        found = []
        while self._arrivals and (not self._arrivals[0].waiting or self._deadline() <= now + _SLACK_SECONDS):
            attempt = self._arrivals.popleft()
            if attempt.waiting:
                self._class(attempt).remove(attempt)
                found.append(attempt)
        return found

    def expires_at(self) -> float:
        """When somebody will have waited too long, unless he begins before; infinity where nobody waits."""
        return self._deadline() if self._arrivals else math.inf

    def _deadline(self) -> float:
        return self._arrivals[0].arrived + PATIENCE_SECONDS

    def _class(self, attempt: Attempt) -> _Class:
        return self._known if attempt.known else self._strangers
