"""What the control files say to delivery-remote, read when one of them has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qmail.control.files import Control, Stamp
from qmail.control.table import (
    ENVNOATHOST,
    HELOHOST,
    LOCALS,
    ME,
    NOTLSHOSTS,
    QMQPSERVERS,
    SMTPROUTES,
    TIMEOUTCONNECT,
    TIMEOUTREMOTE,
    files_of,
)
from services.delivery.remote.mx import Ourselves, known_as
from services.delivery.remote.own import own_addresses

_FILES = files_of("delivery-remote")
# This host's own addresses change without a file.
_INTERFACES_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """For one attempt; `exact`: as qmail 1.03 has it (control/extensions is `none`)."""

    helo: bytes
    no_host: bytes
    exact: bool
    connect_seconds: float
    remote_seconds: float
    ourselves: Ourselves
    no_tls_hosts: frozenset[bytes]
    routes: Mapping[bytes, bytes]
    qmqp_servers: tuple[tuple[str, int], ...]


class SettingsReader:
    """The settings in force. `clock` gives seconds."""

    def __init__(self, control: Control, clock: Callable[[], float] = time.monotonic) -> None:
        self._control, self._clock = control, clock
        self._stamps: tuple[Stamp, ...] = ()
        self._read_at = 0.0
        self._settings: Settings | None = None

    def read(self) -> Settings:
        """Those of now. Raises ControlError."""
        stamps, now = self._control.stamps(_FILES), self._clock()
        fresh = stamps == self._stamps and now - self._read_at < _INTERFACES_SECONDS
        if self._settings is None or not fresh:
            self._settings = None
            self._settings = _read(self._control)
            self._stamps, self._read_at = stamps, now
        return self._settings

    def exact(self) -> bool:
        """Whether qmail 1.03's manner is asked for now. Raises ControlError."""
        return self._control.exact()


def _read(control: Control) -> Settings:
    exact, helo = control.exact(), control.get(HELOHOST)
    no_host = control.own(ENVNOATHOST)
    return Settings(
        remote_seconds=control.get(TIMEOUTREMOTE),
        connect_seconds=control.get(TIMEOUTCONNECT),
        helo=helo,
        no_host=no_host if no_host is not None else control.own(ME) or helo,
        routes=control.get(SMTPROUTES),
        qmqp_servers=control.get(QMQPSERVERS),
        exact=exact,
        ourselves=_read_ourselves(control, exact=exact),
        no_tls_hosts=control.get(NOTLSHOSTS),
    )


def _read_ourselves(control: Control, *, exact: bool) -> Ourselves:
    own = own_addresses(control)
    if exact:
        return Ourselves(addresses=own)
    return known_as(own, (control.get(ME), *(control.get(LOCALS) or ())))
