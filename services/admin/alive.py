"""run/admin.alive: touched every few seconds by admin's loop once first start is done; its age is admin's health."""

from __future__ import annotations

import time
from pathlib import Path

NAME = "admin.alive"
TOUCH_SECONDS = 5.0
STALE_SECONDS = 30.0


def show_alive(run: Path) -> None:
    """Say that admin is at work. Raises OSError."""
    (run / NAME).touch()


def forget(run: Path) -> None:
    """What an earlier admin said is no news of this one."""
    (run / NAME).unlink(missing_ok=True)


def is_alive(run: Path) -> bool:
    """Whether admin said so lately."""
    try:
        return time.time() - (run / NAME).stat().st_mtime < STALE_SECONDS
    except OSError:
        return False
