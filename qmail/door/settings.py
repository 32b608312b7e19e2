"""What the doors for mail access (RFC 8314), pop3 and imap, are started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qmail.accounts.identity import read_identity
from qmail.control.files import Control
from qmail.control.paths import Paths, read_paths
from qmail.control.settings import SettingsError, read_address
from qmail.door.admission import Budget
from qmail.door.listeners import Listener, read_listeners
from qmail.door.processes import parse_processes
from qmail.role.interfaces import read_gateways


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a role listens: what the environment's `variable` says, `default` where that is unset or empty."""

    variable: str
    default: str

    def read(self, environ: Mapping[str, str]) -> tuple[Listener, ...]:
        """The listeners, in order, on LISTEN_NETWORK where that is set. Raises ValueError for what is none."""
        return read_listeners(environ.get(self.variable) or self.default, environ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One role; `budget` is that of all its processes together."""

    paths: Paths
    listeners: tuple[Listener, ...]
    processes: int
    per_user: bool
    address: str
    gateways: frozenset[str]
    budget: Budget


def read_settings(
    role: str, environ: Mapping[str, str], ports: Ports, read_budget: Callable[[Control], Budget]
) -> Settings:
    """The variable of `ports`, PROCESSES, IDENTITY, ADDRESS, QMAIL_DIR; the role's control files, checked.

    read_budget: from the control files. Raises SettingsError.
    """
    paths = read_paths(environ)
    try:
        processes = parse_processes(environ.get("PROCESSES") or "1")
    except ValueError as error:
        raise SettingsError(str(error)) from error
    try:
        listeners = ports.read(environ)
    except ValueError as error:
        raise SettingsError(f"{ports.variable}: {error}") from error
    control = Control(paths.control)
    control.check(role)
    return Settings(
        paths=paths,
        listeners=listeners,
        processes=processes,
        per_user=read_identity(environ),
        address=read_address(environ),
        # Without a container the gateway is the way to strangers.
        gateways=frozenset() if environ.get("QMAIL_DIR") else read_gateways(),
        budget=read_budget(control),
    )
