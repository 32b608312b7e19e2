"""Who has to wait for wrong passwords: which budgets an attempt needs, who is told, and `qmailctl logins`."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from functools import partial

from qmail.bus.ports import Bus, Message
from qmail.bus.talk import logins
from qmail.log.notices import Notices, Refused
from qmail.message.dates import date822
from qmail.message.printable import printable
from services.auth.budgets import Budget, BudgetTables, Kind
from services.auth.row import Attempt


class Slowing:
    """The budgets of one process, which hears of the wrong passwords that the others see. `lifted` is called when some
    were given back."""

    def __init__(self, tables: BudgetTables, notices: Notices, lifted: Callable[[], None]) -> None:
        self._tables = tables
        self._notices = notices
        self._lifted = lifted
        self._me = secrets.token_hex(8)
        self._publish: Callable[[str, bytes], None] | None = None

    async def join(self, bus: Bus, group: str) -> None:
        """Hear what the others and admin say; `group`: of those who answer. Raises BusDown."""
        self._publish = bus.publish
        await bus.subscribe(logins.SLOWED, partial(self._show, bus), group)
        await bus.subscribe(logins.LIFT, partial(self._lift, bus))
        await bus.subscribe(logins.WRONG, self._heard)

    def attempt(self, account: bytes, network: str, *, known: bool, shared: bool, now: float) -> Attempt:
        """What an attempt needs. known: the account uses that network; shared: many people do."""
        budgets: tuple[Budget, ...]
        budgets = (self._tables.known(account, network),) if known else self._tables.strangers(account, network)
        address = None if known or shared else self._tables.address(network)
        if address is not None:
            budgets = (*budgets, address)
        return Attempt(account, network, known, budgets, address, now)

    def tell(self, attempt: Attempt, service: str, now: float) -> None:
        """Log each budget that makes this attempt wait, once until it is whole again."""
        for budget in attempt.budgets:
            if budget.wrong and not budget.told and budget.ready_at(now) > now:
                budget.told = True
                who = budget.network or printable(budget.account)
                since = date822(_wall(budget.since, now)).decode().strip()
                why = f"slowed, {budget.kind}: {budget.wrong} wrong passwords since {since}"
                self._notices.refused(Refused.LOGIN, who, f"{service} {printable(attempt.account)}", why)

    def announce(self, attempt: Attempt, *, shared: bool) -> None:
        """Tell the other processes of a wrong password."""
        if self._publish is not None:
            account = attempt.account.decode("latin-1")
            told = logins.Wrong(
                auth=self._me, account=account, network=attempt.network, known=attempt.known, shared=shared
            )
            self._publish(logins.WRONG, logins.encode_wrong(told))

    def _heard(self, message: Message) -> None:
        wrong = logins.parse_wrong(message.payload)
        if wrong is None or wrong.auth == self._me:
            return
        now = asyncio.get_running_loop().time()
        account = wrong.account.encode("latin-1", "replace")
        for budget in self.attempt(account, wrong.network, known=wrong.known, shared=wrong.shared, now=now).budgets:
            budget.charge(now)

    def _show(self, bus: Bus, message: Message) -> None:
        now = asyncio.get_running_loop().time()
        found = [_shown(budget, now) for budget in self._tables.slowed(now)]
        found.sort(key=lambda one: (-one.wrong, one.since))
        bus.publish(message.reply, logins.encode_slowed(found))

    def _lift(self, bus: Bus, message: Message) -> None:
        who = logins.parse_lift(message.payload)
        count = self._tables.forgive(who, asyncio.get_running_loop().time()) if who else 0
        if count:
            self._lifted()
        bus.publish(message.reply, logins.encode_lifted(count))


def _wall(when: float, now: float) -> float:
    """A time of the loop's clock in seconds since 1970."""
    return time.time() - (now - when)


def _shown(budget: Budget, now: float) -> logins.Slowed:
    ready = budget.ready_at(now)
    return logins.Slowed(
        kind=Kind(budget.kind).value,
        account=budget.account.decode("latin-1"),
        network=budget.network,
        wrong=budget.wrong,
        since=_wall(budget.since, now),
        next=_wall(now if ready == math.inf else ready, now),
    )
