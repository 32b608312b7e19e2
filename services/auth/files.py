"""What auth reads of the deployment; whatever it cannot read stands in its notices until it is mended."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qmail.accounts.assign import Account, Accounts, AssignError
from qmail.control.files import Control, ControlError
from qmail.control.table import LOCALS, ME, NOLOGIN
from qmail.log.notices import Notices
from qmail.log.unusable import why_unusable
from qmail.message.address import Address
from services.auth.modules.module import SERVICES, Module
from services.auth.modules.read import NO_MODULE


class Trouble(Exception):
    """Nobody's password can be judged now, and it is not the client's fault; the text says why."""


class Files:
    """users/assign, control/locals, control/nologin, and what the modules need."""

    def __init__(self, assign: Path, control: Control, notices: Notices) -> None:
        self._assign = assign
        self._accounts = Accounts(assign)
        self._control = control
        self._notices = notices

    def account(self, user: bytes) -> Account | None:
        """`ari` or, where the host is one of control/locals, `ari@mail.xeris.com`; in any mixture of case, and with the
        blanks around it that mail programs take over from the person who types.

        Raises Trouble, also while control/nologin is there: pam_nologin's switch, nobody logs in."""
        name = Address(user.strip(b" ").lower())
        try:
            if self._control.get(NOLOGIN):
                raise Trouble("control/nologin is there")
            ours = name.domain is None or name.domain in self._locals()
        except ControlError as error:  # which stands already
            raise Trouble(str(error)) from error
        with self._reading("users/assign"):
            # Without it every name would be an unknown one.
            os.stat(self._assign)
            return self._accounts.folded(name.local) if ours else None

    def _locals(self) -> frozenset[bytes]:
        names = self._control.get(LOCALS)
        return names if names is not None else frozenset({self._control.get(ME).lower()})

    def version(self, modules: Sequence[Module], service: str) -> Hashable:
        """Changes whenever what the modules know may have. Raises Trouble."""
        if not modules:
            raise Trouble(NO_MODULE)
        self._check(modules, service)
        versions = []
        for module in modules:
            with self._reading(module.name):
                versions.append(module.version())
        return tuple(versions)

    def check_modules(self, modules: Sequence[Module]) -> None:
        """At start: before anybody has tried."""
        for service in SERVICES:
            try:
                self.version(modules, service)
            except Trouble:
                continue  # it stands in the notices

    def _check(self, modules: Sequence[Module], service: str) -> None:
        for module in modules:
            missing, key = module.missing(service), f"{module.name} {service}"
            if missing:
                self._notices.stands(key, missing)
            else:
                self._notices.mended(key)

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            yield
        except (OSError, AssignError) as error:
            text = _sentence(error)
            self._notices.stands(key, text)
            raise Trouble(text) from error
        self._notices.mended(key)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {why_unusable(error, error.filename)}"
    return str(error)
