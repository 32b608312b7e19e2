"""What pop3 is started with: the environment, checked, and the control files that it reads for each session."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

from qmail.control.files import Control, ControlError
from qmail.control.table import CONCURRENCYPOP3, CONCURRENCYPOP3PERIP, ME
from qmail.door import settings as door_settings
from qmail.door.admission import Budget
from qmail.door.cleartext_networks import CleartextNetworks
from services.pop3.transaction import Manner

PORTS: Final = door_settings.Ports(variable="POP3_LISTEN", default="0.0.0.0:110,0.0.0.0:995")


def read_settings(environ: Mapping[str, str]) -> door_settings.Settings:
    """POP3_LISTEN, PROCESSES, IDENTITY, ADDRESS, QMAIL_DIR; control/concurrencypop3, control/concurrencypop3perip.

    Raises SettingsError.
    """
    return door_settings.read_settings("pop3", environ, PORTS, _budget)


def _budget(control: Control) -> Budget:
    return Budget(connections=control.get(CONCURRENCYPOP3), connections_per_address=control.get(CONCURRENCYPOP3PERIP))


class Manners:
    """The manner of speaking for the next connection; a control file gone bad leaves the last good values."""

    def __init__(
        self,
        settings: door_settings.Settings,
        control: Control,
        tls_available: Callable[[], bool],
        cleartext: CleartextNetworks,
    ) -> None:
        self._settings = settings
        self._control = control
        self._tls_available = tls_available
        self._cleartext = cleartext
        self._numbers = itertools.count(os.getpid() * 1_000_000)
        self._host, self._classic = self._read()

    def _read(self) -> tuple[bytes, bool]:
        return self._control.get(ME), self._control.exact()

    def next(self) -> Manner:
        """For one connection; its timestamp is given to no other (RFC 1939 section 7)."""
        # What cannot be read is an alert already (qmail.control.files).
        with contextlib.suppress(ControlError):
            self._host, self._classic = self._read()
        return Manner(
            timestamp=b"<%d.%d@%s>" % (next(self._numbers), time.time(), self._host),
            classic=self._classic,
            tls_available=self._tls_available(),
            address=self._settings.address,
            gateways=self._settings.gateways,
            networks=self._cleartext.current(),
        )
