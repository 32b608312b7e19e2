"""What imap is started with: the environment and the control files, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qmail.control import Control
from qmail.door import settings as door_settings
from qmail.door.server import Limits
from services.imap.replies import TOO_MANY_CONNECTIONS

PORTS: Final = door_settings.Ports(variable="IMAP_LISTEN", default="0.0.0.0:143,0.0.0.0:993")
#: Courier's MAXDAEMONS and MAXPERIP; 4 connections for an address are too few for today's mail programs.
DEFAULT_CONNECTIONS: Final = 1000
DEFAULT_CONNECTIONS_PER_IP: Final = 20


def read_settings(environ: Mapping[str, str]) -> door_settings.Settings:
    """IMAP_LISTEN, PROCESSES, IDENTITY, ADDRESS, QMAIL_DIR; control/concurrencyimap, control/concurrencyimapperip.

    Raises SettingsError, ControlError."""
    return door_settings.read_settings(environ, PORTS, _limits)


def _limits(control: Control, processes: int) -> Limits:
    """Each process has its share of all; an address may by chance meet one process only, so that is not divided."""
    return Limits(
        connections=door_settings.share(control.number("concurrencyimap", DEFAULT_CONNECTIONS), processes),
        connections_per_ip=max(1, control.number("concurrencyimapperip", DEFAULT_CONNECTIONS_PER_IP)),
        refusal=TOO_MANY_CONNECTIONS,
    )
