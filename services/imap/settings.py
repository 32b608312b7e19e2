"""What imap is started with: the environment and the control files, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qmail.control import Control
from qmail.control_table import CONCURRENCYIMAP, CONCURRENCYIMAPPERIP
from qmail.door import settings as door_settings
from qmail.door.server import Limits
from services.imap.replies import TOO_MANY_CONNECTIONS

PORTS: Final = door_settings.Ports(variable="IMAP_LISTEN", default="0.0.0.0:143,0.0.0.0:993")


def read_settings(environ: Mapping[str, str]) -> door_settings.Settings:
    """IMAP_LISTEN, PROCESSES, IDENTITY, ADDRESS, QMAIL_DIR; control/concurrencyimap, control/concurrencyimapperip.

    Raises SettingsError, ControlError."""
    return door_settings.read_settings("imap", environ, PORTS, _limits)


def _limits(control: Control, processes: int) -> Limits:
    """Each process has its share of all; an address may by chance meet one process only, so that is not divided."""
    return Limits(
        connections=door_settings.share(control.get(CONCURRENCYIMAP), processes),
        connections_per_ip=control.get(CONCURRENCYIMAPPERIP),
        refusal=TOO_MANY_CONNECTIONS,
    )
