"""services/bus/nats.conf for a deployment below QMAIL_DIR: the same text with its own addresses and directories."""

from __future__ import annotations

import json
import os
from pathlib import Path

from services.admin.directories import REPOSITORY, Directories

STATIC = REPOSITORY / "services" / "bus" / "nats.conf"


def render_config(static: str, *, listen: str, monitor: str, store: Path, users: str) -> str:
    """Replace the four places that differ; `users` is relative to the directory of the configuration.

    Raises ValueError where one of them is not in the text, so that a changed nats.conf is noticed."""
    replacements = {
        '"0.0.0.0:4222"': listen,
        '"127.0.0.1:8222"': monitor,
        '"/var/lib/bus"': str(store),
        '"../../run/credentials/bus.conf"': users,
    }
    for old, new in replacements.items():
        if static.count(old) != 1:
            raise ValueError(f"{STATIC}: expected {old} exactly once")
        static = static.replace(old, json.dumps(new))
    return static


def bus_config(directories: Directories, port: int, monitor_port: int) -> str:
    """The configuration to be put into `run` for a server on loopback. Raises OSError, ValueError."""
    users = os.path.relpath(directories.credentials_of("bus") / "bus.conf", directories.paths.run)
    return render_config(
        STATIC.read_text(encoding="utf-8"),
        listen=f"127.0.0.1:{port}",
        monitor=f"127.0.0.1:{monitor_port}",
        store=directories.bus_store,
        users=users,
    )
