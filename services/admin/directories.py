"""The directories that only admin knows, beside those of qmail/control/paths.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qmail.control.paths import Paths, read_paths

REPOSITORY = Path(__file__).resolve().parents[2]
OTHERS_CREDENTIALS = Path("/var/lib/credentials")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directories:
    """Everything of one deployment that admin looks after."""

    paths: Paths
    bus_store: Path
    skeleton: Path
    zones: Path
    below_qmail_dir: bool

    def credentials_of(self, role: str) -> Path:
        """Where a role's own credentials lie: a volume each in containers, one directory without them."""
        if self.below_qmail_dir or role == "admin":
            return self.paths.credentials
        return OTHERS_CREDENTIALS / role


def read_directories(environ: Mapping[str, str]) -> Directories:
    """The directories for QMAIL_DIR, or a container's."""
    paths = read_paths(environ)
    inside = bool(environ.get("QMAIL_DIR"))
    return Directories(
        paths=paths,
        bus_store=paths.control.parent / "bus" if inside else Path("/var/lib/bus"),
        skeleton=paths.control.parent / "skel" if inside else Path("/etc/skel"),
        zones=paths.control.parent / "named" if inside else Path("/var/named"),
        below_qmail_dir=inside,
    )
