"""How many sessions an account has from one address, in this process: what one person may take of a door."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from qmail.accounts.assign import Account
from qmail.control.files import Control, ControlError
from qmail.control.table import CONCURRENCYPERUSERIP


class UserSessions:
    """Counted from log-in until the connection is gone: a session costs memory in proportion to the mailbox that it has
    open. The control file is read at each log-in."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._count: Counter[tuple[Path, str]] = Counter()

    def begin(self, account: Account, ip: str) -> bool:
        """Count one in; False when there are as many as may be."""
        key = (account.home, ip)
        if self._count[key] >= self._bound():
            return False
        self._count[key] += 1
        return True

    def end(self, account: Account, ip: str) -> None:
        """Count out one that was counted in."""
        key = (account.home, ip)
        self._count[key] -= 1
        if not self._count[key]:
            del self._count[key]

    def _bound(self) -> int:
        try:
            return self._control.get(CONCURRENCYPERUSERIP)
        except ControlError:
            return CONCURRENCYPERUSERIP.default
