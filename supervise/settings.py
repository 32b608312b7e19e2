"""What `make run` takes from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.admin.install import is_per_user

DEFAULT_DIRECTORY = "var"
PORTS = {"SMTP_PORT": 2525, "SUBMISSION_PORT": 2587, "POP3_PORT": 2110, "IMAP_PORT": 2143, "HTTP_PORT": 2180}
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """One deployment without containers; every port is on loopback."""

    directory: Path
    ports: Mapping[str, int]
    per_user: bool

    @property
    def identity(self) -> str:
        """The word for IDENTITY."""
        return "per-user" if self.per_user else "single"


def read_settings(environ: Mapping[str, str], euid: int) -> RunSettings:
    """Raises ValueError with name, value and what was expected."""
    per_user = is_per_user(environ, euid)
    if per_user and euid != 0:
        raise ValueError("IDENTITY is per-user; expected single, because only root can give out identities")
    directory = Path(os.path.abspath(environ.get("QMAIL_DIR") or DEFAULT_DIRECTORY))
    ports = {name: _port(name, environ.get(name), default) for name, default in PORTS.items()}
    if len(set(ports.values())) < len(ports):
        raise ValueError(
            f"the ports {sorted(ports.values())} are not all different; expected one for each of {list(PORTS)}"
        )
    return RunSettings(directory=directory, ports=ports, per_user=per_user)


def _port(name: str, value: str | None, default: int) -> int:
    if not value:
        return default
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ValueError(f"{name} is {value!r}; expected a port number, as in {default}")
    return int(value)
