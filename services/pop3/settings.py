"""What pop3 is started with: the environment, checked, and the control files that it reads for each session."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from qmail.control import Control, ControlError
from qmail.paths import Paths, read_paths
from qmail.plaintext import read_gateways
from qmail.server import Limits, Listener, parse_listeners
from services.pop3.replies import TOO_MANY
from services.pop3.transaction import Manner

DEFAULT_LISTEN: Final = "0.0.0.0:110,0.0.0.0:995"
MAX_PROCESSES: Final = 64
DEFAULT_CONNECTIONS: Final = 400
DEFAULT_CONNECTIONS_PER_IP: Final = 100


class SettingsError(Exception):
    """The configuration is not to be started with; the text says what is there and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One pop3 role."""

    paths: Paths
    listeners: tuple[Listener, ...]
    processes: int
    identity: str
    address: str
    gateways: frozenset[str]
    limits: Limits


def read_settings(environ: Mapping[str, str]) -> Settings:
    """POP3_LISTEN, PROCESSES, IDENTITY, ADDRESS, QMAIL_DIR; control/concurrencypop3, control/concurrencyperip.

    Raises SettingsError, ControlError.
    """
    paths = read_paths(environ)
    processes = _processes(environ.get("PROCESSES") or "1")
    try:
        listeners = parse_listeners(environ.get("POP3_LISTEN") or DEFAULT_LISTEN)
    except ValueError as error:
        raise SettingsError(f"POP3_LISTEN: {error}") from error
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
    """Each process has its share; the kernel spreads connections evenly enough."""
    total = control.number("concurrencypop3", DEFAULT_CONNECTIONS)
    per_ip = control.number("concurrencyperip", DEFAULT_CONNECTIONS_PER_IP)
    return Limits(
        connections=max(1, -(-total // processes)),
        connections_per_ip=max(1, -(-per_ip // processes)),
        refusal=TOO_MANY,
    )


class Manners:
    """The manner of speaking for the next connection; a control file gone bad leaves the last good values."""

    def __init__(self, settings: Settings, tls_available: Callable[[], bool], warn: Callable[[str], None]) -> None:
        self._settings = settings
        self._control = Control(settings.paths.control)
        self._tls_available = tls_available
        self._warn = warn
        self._numbers = itertools.count(os.getpid() * 1_000_000)
        self._host, self._classic = self._read()

    def _read(self) -> tuple[bytes, bool]:
        return self._control.line_or_me("me"), self._control.line("extensions") == b"none"

    def next(self) -> Manner:
        """For one connection; its timestamp is given to no other (RFC 1939 section 7)."""
        try:
            self._host, self._classic = self._read()
        except ControlError as error:
            self._warn(f"warning: {error}")
        return Manner(
            timestamp=b"<%d.%d@%s>" % (next(self._numbers), time.time(), self._host),
            classic=self._classic,
            tls_available=self._tls_available(),
            address=self._settings.address,
            gateways=self._settings.gateways,
        )
