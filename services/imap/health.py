"""`python -m services.imap.health`: exit code 0 while the first port without TLS greets as IMAP does."""

from __future__ import annotations

import os
import socket
import sys
from typing import Final

from qmail.server import parse_listeners
from services.imap.settings import DEFAULT_LISTEN

TIMEOUT_SECONDS: Final = 5.0


def greets(host: str, port: int) -> bool:
    """Whether `* OK` comes within five seconds."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        with socket.create_connection((address, port), TIMEOUT_SECONDS) as client:
            return client.recv(512).startswith(b"* OK")
    except OSError:
        return False


def main() -> int:
    """0: it greets."""
    listeners = parse_listeners(os.environ.get("IMAP_LISTEN") or DEFAULT_LISTEN)
    plain = [listener for listener in listeners if not listener.tls]
    return 0 if plain and greets(plain[0].host, plain[0].port) else 1


if __name__ == "__main__":
    sys.exit(main())
