"""What imap is started with: the environment and the control files, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qmail.control.files import Control
from qmail.control.table import CONCURRENCYIMAP, CONCURRENCYIMAPPERIP
from qmail.door import settings as door_settings
from qmail.door.admission import Budget

PORTS: Final = door_settings.Ports(variable="IMAP_LISTEN", default="0.0.0.0:143,0.0.0.0:993")


def read_settings(environ: Mapping[str, str]) -> door_settings.Settings:
    """IMAP_LISTEN, PROCESSES, IDENTITY, ADDRESS, QMAIL_DIR; control/concurrencyimap, control/concurrencyimapperip.

    Raises SettingsError."""
    return door_settings.read_settings("imap", environ, PORTS, _budget)


def _budget(control: Control) -> Budget:
    return Budget(connections=control.get(CONCURRENCYIMAP), connections_per_address=control.get(CONCURRENCYIMAPPERIP))
