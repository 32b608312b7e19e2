"""What imap is started with: the environment and the control files, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from qmail.control import Control
from qmail.paths import Paths, read_paths
from qmail.plaintext import read_gateways
from qmail.server import Limits, Listener, parse_listeners
from services.imap.replies import TOO_MANY_CONNECTIONS

DEFAULT_LISTEN: Final = "0.0.0.0:143,0.0.0.0:993"
MAX_PROCESSES: Final = 64
#: Courier's MAXDAEMONS and MAXPERIP; 4 connections for an address are too few for today's mail programs.
DEFAULT_CONNECTIONS: Final = 1000
DEFAULT_CONNECTIONS_PER_IP: Final = 20


class SettingsError(Exception):
    """The configuration is not to be started with; the text says what is there and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One imap role."""

    paths: Paths
    listeners: tuple[Listener, ...]
    processes: int
    identity: str
    address: str
    gateways: frozenset[str]
    limits: Limits


def read_settings(environ: Mapping[str, str]) -> Settings:
    """IMAP_LISTEN, PROCESSES, IDENTITY, ADDRESS, QMAIL_DIR; control/concurrencyimap, control/concurrencyimapperip.

    Raises SettingsError, ControlError."""
    paths = read_paths(environ)
    processes = _processes(environ.get("PROCESSES") or "1")
    try:
        listeners = parse_listeners(environ.get("IMAP_LISTEN") or DEFAULT_LISTEN)
    except ValueError as error:
        raise SettingsError(f"IMAP_LISTEN: {error}") from error
    return Settings(
        paths=paths,
        listeners=listeners,
        processes=processes,
        identity=environ.get("IDENTITY") or "per-user",
        address=environ.get("ADDRESS") or "127.0.0.1",
        # Without a container the gateway is the way to strangers.
        gateways=frozenset() if environ.get("QMAIL_DIR") else read_gateways(),
        limits=_limits(Control(paths.control), processes),
    )


def _processes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PROCESSES):
        raise SettingsError(f"PROCESSES is {text!r}; expected a number from 1 to {MAX_PROCESSES}")
    return int(text)


def _limits(control: Control, processes: int) -> Limits:
    """Each process has its share of all; an address may by chance meet one process only, so that is not divided."""
    total = control.number("concurrencyimap", DEFAULT_CONNECTIONS)
    return Limits(
        connections=max(1, -(-total // processes)),
        connections_per_ip=max(1, control.number("concurrencyimapperip", DEFAULT_CONNECTIONS_PER_IP)),
        refusal=TOO_MANY_CONNECTIONS,
    )
