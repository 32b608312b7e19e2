"""`python -m services.imap`: the door for reading mail by IMAP."""

from __future__ import annotations

import os
import sys
from functools import partial

from qmail.door.processes import run_door
from qmail.log.log import Log
from qmail.role.exits import exit_code
from services.imap.door import serve
from services.imap.settings import read_settings


def start() -> int:
    """Serve until TERM; the exit code. Raises SettingsError."""
    settings = read_settings(os.environ)
    return run_door("imap", Log("imapd"), settings.processes, partial(serve, settings))


if __name__ == "__main__":
    sys.exit(exit_code("imap", start))
