"""users/assign and the control files, as often as a busy delivery process can afford to look at them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from qmail.accounts.assign import Account, Accounts, Match
from qmail.control.files import Control
from qmail.control.read_routes import read_routes
from qmail.control.routing import LOCAL, Routes
from qmail.control.table import DEFAULTDELIVERY, ME, PROGRAMNETWORK
from qmail.message.address import Address
from services.delivery.local import replies
from services.delivery.local.refusal import temporary

#: How old an answer may be. A stat(2) in the loop waits for the threads' lock, longer than for anything else.
FRESH_SECONDS: Final = 0.1
_MAX_REMEMBERED: Final = 1000
_ALIAS: Final = b"alias"


class Lookup:
    """What a delivery must know of its deployment; at most a tenth of a second old.

    Every method raises ControlError, AssignError or OSError where a file is not fit to be read.
    """

    def __init__(self, accounts: Accounts, control: Control, clock: Callable[[], float] = time.monotonic) -> None:
        self._accounts = accounts
        self._control = control
        self._clock = clock
        self._read_at = float("-inf")
        self._matches: dict[bytes, Match] = {}
        self._me: bytes | None = None
        self._default_delivery: bytes | None = None
        self._routes: Routes | None = None

    def match(self, local: bytes) -> Match:
        """Whose mail a local part is: by users/assign, else alias's. Raises Refusal where there is nobody."""
        self._refresh()
        match = self._matches.get(local)
        if match is None:
            match = self._matches[local] = self._find(local)
        return match

    def me(self) -> bytes:
        """control/me."""
        self._refresh()
        if self._me is None:
            self._me = self._control.get(ME)
        return self._me

    def default_delivery(self) -> bytes:
        """control/defaultdelivery, lines as in .qmail; `./Maildir/` without it."""
        self._refresh()
        if self._default_delivery is None:
            self._default_delivery = self._control.get(DEFAULTDELIVERY)
        return self._default_delivery

    def may_use_network(self, account: Account) -> bool:
        """Whether control/programnetwork lists the account."""
        return account.name in self._control.get(PROGRAMNETWORK)

    def local_address(self, recipient: Address) -> Address | None:
        """The address that local delivery is given for a recipient, None if it is not local."""
        self._refresh()
        if self._routes is None:
            self._routes = read_routes(self._control)
        route = self._routes.route(recipient)
        return route.address if route.channel == LOCAL else None

    def _find(self, local: bytes) -> Match:
        match = self._accounts.find(local)
        if match is None:
            alias = self._accounts.named(_ALIAS)
            if alias is None:
                raise temporary(replies.NO_ALIAS_USER)
            match = Match(alias, b"-", local)
        if match.account.uid <= 0 or match.account.gid <= 0:
            raise temporary(replies.NOT_AS_ROOT)
        return match

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._read_at < FRESH_SECONDS and len(self._matches) < _MAX_REMEMBERED:
            return
        self._read_at = now
        self._matches.clear()
        self._me = self._default_delivery = self._routes = None
