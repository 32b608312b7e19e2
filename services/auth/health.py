"""`python -m services.auth.health`: exit code 0 while auth has lately found itself on the bus."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

from qmail.health import FILE
from qmail.paths import read_paths

STALE_SECONDS: Final = 30.0


def is_fresh(run: Path) -> bool:
    """Whether `<run>/healthy` was touched within the last 30 seconds."""
    try:
        return time.time() - (run / FILE).stat().st_mtime < STALE_SECONDS
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if is_fresh(read_paths(os.environ).run) else 1)
