"""What wrong passwords cost: budgets that fill up again with time (docs/decisions/0012-guesses-cost-budgets.md). Pure.

Some may be wrong at once; after that one more each so many seconds. What is being verified counts as wrong until it is
known, so that a thousand guesses at once gain nothing. A budget never refuses: it says when the next attempt may begin.
Time is given.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: A table forgets first what was asked for longest ago.
MAX_ENTRIES: Final = 10_000
#: After so long without a wrong password a network is as good as one that never had any.
CLEAN_SECONDS: Final = 900.0
# Less than any clock tells: sums of fractions are not exact.
_NOTHING: Final = 1e-6


class Kind(StrEnum):
    """What a budget belongs to; the words are shown by `qmailctl logins`."""

    ADDRESS = "address"  # who tries any account from one network
    ACCOUNT = "account"  # all networks together that the account is not known to use
    PAIR = "account and address"  # one of them
    KNOWN = "known network"  # an account in a network that it uses: the only budget that counts there


@dataclass(frozen=True, slots=True)
class Rule:
    """So many wrong at once, then one each so many seconds."""

    at_once: int
    seconds: float


RULES: Final = {
    Kind.ADDRESS: Rule(10, 5.0),
    Kind.ACCOUNT: Rule(5, 5.0),
    Kind.PAIR: Rule(5, 10.0),
    Kind.KNOWN: Rule(10, 5.0),
}


@dataclass(slots=True, eq=False)
class Budget:
    """One of them. `account` or `network` is empty where the kind has none."""

    kind: Kind
    account: bytes
    network: str
    spent: float = 0.0
    at: float = 0.0
    running: int = 0
    #: Wrong passwords since it was whole, and since when it is not.
    wrong: int = 0
    since: float = 0.0
    told: bool = False
    #: The last wrong one of all.
    last: float = -math.inf

    @property
    def rule(self) -> Rule:
        return RULES[self.kind]

    def is_clean(self, now: float) -> bool:
        """Whether nothing was wrong for long."""
        return now - self.last > CLEAN_SECONDS

    def ready_at(self, now: float) -> float:
        """When another attempt may begin: `now`, later, or never while all that may be wrong is being verified."""
        self._refill(now)
        room = self.rule.at_once - self.running
        if room <= 0:
            return math.inf
        over = self.spent - (room - 1)
        return now if over <= _NOTHING else now + over * self.rule.seconds

    def begin(self) -> None:
        """An attempt is being verified."""
        self.running += 1

    def end(self) -> None:
        """It is not any more; a wrong one is then charged."""
        self.running -= 1

    def charge(self, now: float) -> None:
        """A wrong password."""
        self._refill(now)
        if not self.wrong:
            self.since = now
        self.last = now
        self.wrong += 1
        self.spent = min(self.spent + 1, self.rule.at_once)

    def forgive(self) -> None:
        """As if nothing had been wrong."""
        self._make_whole()
        self.last = -math.inf

    def _make_whole(self) -> None:
        self.spent, self.wrong, self.told = 0.0, 0, False

    def _refill(self, now: float) -> None:
        if self.spent:
            self.spent -= (now - self.at) / self.rule.seconds
            if self.spent <= _NOTHING:
                self._make_whole()
        self.at = now


class Budgets:
    """All of one kind, the longest unused forgotten first."""

    def __init__(self, kind: Kind, max_entries: int = MAX_ENTRIES) -> None:
        self._kind = kind
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[bytes, str], Budget] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Budget]:
        return iter(self._entries.values())

    def of(self, account: bytes, network: str) -> Budget:
        """The budget of that account and network (empty: where the kind has none)."""
        key = (account, network)
        budget = self._entries.get(key)
        if budget is None:
            budget = self._entries[key] = Budget(self._kind, account, network)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(key)
        return budget


class BudgetTables:
    """The budgets of every kind."""

    def __init__(self) -> None:
        self._tables = {kind: Budgets(kind) for kind in Kind}

    def address(self, network: str) -> Budget:
        """What the network has for all accounts together."""
        return self._tables[Kind.ADDRESS].of(b"", network)

    def known(self, account: bytes, network: str) -> Budget:
        """What the account has in a network that it uses."""
        return self._tables[Kind.KNOWN].of(account, network)

    def strangers(self, account: bytes, network: str) -> tuple[Budget, Budget]:
        """What this network has for the account, and what all strangers have for it."""
        return self._tables[Kind.PAIR].of(account, network), self._tables[Kind.ACCOUNT].of(account, "")

    def slowed(self, now: float) -> list[Budget]:
        """Those whose next attempt has to wait."""
        everything = (budget for table in self._tables.values() for budget in table)
        return [budget for budget in everything if budget.wrong and budget.ready_at(now) > now]

    def forgive(self, who: str, now: float) -> int:
        """Lift what stands against an account or network, or with `all` against everybody; how many were not whole."""
        name = who.lower().encode("utf-8", "surrogateescape")
        found = [
            budget
            for table in self._tables.values()
            for budget in table
            if (budget.wrong or not budget.is_clean(now))
            and (who == "all" or budget.account == name or budget.network == who)
        ]
        for budget in found:
            budget.forgive()
        return len(found)
