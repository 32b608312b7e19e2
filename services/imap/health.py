"""`python -m services.imap.health`: exit code 0 while the first port without TLS greets as IMAP does."""

from __future__ import annotations

import os
import sys
from typing import Final

from qmail.mail_access import greets
from services.imap.settings import PORTS

GREETING: Final = b"* OK"


def main() -> int:
    """0: it greets."""
    return 0 if greets(PORTS.read(os.environ), GREETING) else 1


if __name__ == "__main__":
    sys.exit(main())
