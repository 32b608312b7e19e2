"""Health of the admin role for the engine: first start is done and the loop turns (exit code 0, else 1)."""

from __future__ import annotations

import os

from qmail.paths import read_paths
from services.admin.alive import is_alive

if __name__ == "__main__":
    raise SystemExit(0 if is_alive(read_paths(os.environ).run) else 1)
