"""`python -m services.smtpd.health`: exit 0 when this container's door can take a message.

It speaks SMTP to the first listener: MAIL is answered 250 only when the bus stands and its streams have room; a
full queue (452) is a healthy door too.
"""

from __future__ import annotations

import os
import smtplib
import sys

from services.smtpd.settings import SettingsError, read_settings

TIMEOUT_SECONDS = 5.0
_FULL = 452


def probe(host: str, port: int) -> str:
    """What is wrong, empty where nothing is."""
    try:
        with smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS) as client:
            client.ehlo("health")
            code, text = client.mail("")
            client.rset()
    except (OSError, smtplib.SMTPException) as error:
        return f"{type(error).__name__}: {error}"
    return "" if code in (250, _FULL) else f"{code} {text.decode('latin-1')}"


def main() -> int:
    try:
        listener = read_settings(os.environ).smtp[0]
    except (SettingsError, IndexError) as error:
        print(error)
        return 1
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.host, listener.host)
    fault = probe(host, listener.port)
    print(fault or "ok")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
