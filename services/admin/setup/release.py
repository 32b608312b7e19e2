"""Which release a deployment belongs to, so that an older one does not start on what a newer one has written.

`control/.release` holds one line, `release N`: N counts the forms of what lies on the disk and on the bus, and a
release that changes one of them is the next. First start looks before it writes anything. The first release had no
mark; what it reads before it writes is `.made` (services/admin/setup/generated_files.py), which says it in a line that
it cannot read.

docs/decisions/0014 has the reasons, docs/operations.md what an administrator does.
"""

from __future__ import annotations

import re
from pathlib import Path

from services.admin.install import Installer

# What pyproject.toml and CHANGELOG.md call it.
VERSION = "0.2.0"
RELEASE = 2
FIRST = 1
MARK = ".release"

_LINE = re.compile(r"release ([1-9][0-9]{0,8})\n")


def release_of(control: Path) -> int | None:
    """The release that a deployment belongs to; None where there is no deployment yet. Raises OSError, ValueError."""
    path = control / MARK
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return FIRST if (control / "me").exists() else None
    found = _LINE.fullmatch(text)
    if found is None:
        raise ValueError(f"{path}: {text[:40]!r}; expected one line, as in release {RELEASE}")
    return int(found[1])


def check_release(control: Path) -> None:
    """Raises ValueError for the deployment of a newer release, OSError."""
    found = release_of(control)
    if found is not None and found > RELEASE:
        raise ValueError(
            f"{control / MARK}: this deployment belongs to release {found}, and this is release {RELEASE}, which "
            f"would not understand it; expected release {found} or newer, or a backup from before the upgrade"
        )


def mark_release(control: Path, installer: Installer) -> str | None:
    """Make the deployment this release's, durably; the word for the log where it was an older one's. Raises as
    `release_of`."""
    found = release_of(control)
    if found == RELEASE:
        return None
    installer.file(control / MARK, f"release {RELEASE}\n".encode("ascii"), 0o644)
    if found is None:
        return None
    return (
        f"this deployment was release {found}'s; it is release {RELEASE}'s from now on, and no older one starts on it"
    )
