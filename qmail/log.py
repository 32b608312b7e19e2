"""Log lines: written once per turn of the event loop, to standard output and as one event on the bus.

The admin role keeps multilog directories from these events (log.<name>); `python -m services.*` alone needs
only standard output, as with daemontools' multilog behind a pipe (multilog(8)).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable

from qmail.dates import tai64n

# Lines gathered while the reader of standard output is slow; beyond this the oldest go, never the mail.
MAX_PENDING_LINES = 10_000
# One log line; a hostile peer's text must not fill the disk.
MAX_LINE_CHARACTERS = 4000


class Log:
    """One service's log, named as its directory below /var/log (qmail, qmail-smtpd, qmail-pop3d, imapd)."""

    def __init__(self, name: str, publish: Callable[[str, bytes], None] | None = None) -> None:
        self.name = name
        self._publish = publish
        self._pending: list[str] = []
        self._scheduled = False

    def attach(self, publish: Callable[[str, bytes], None]) -> None:
        """Send every further group of lines to the bus as well: `publish(subject, payload)`."""
        self._publish = publish

    def line(self, text: str) -> None:
        """Take one line, without its newline; control characters become `?`."""
        if len(self._pending) >= MAX_PENDING_LINES:
            del self._pending[0]
        if not text.isprintable():
            text = "".join(c if c.isprintable() else "?" for c in text)
        self._pending.append(f"{tai64n(time.time())} {text[:MAX_LINE_CHARACTERS]}")
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        self._scheduled = True
        loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is pending, at once."""
        self._scheduled = False
        lines, self._pending = self._pending, []
        if not lines:
            return
        text = "\n".join(lines) + "\n"
        if self._publish is not None:
            self._publish(f"event.log.{self.name}", text.encode())
        # Standard output has multilog's text without its stamp: the engine stamps what it collects.
        plain = "".join(line[26:] + "\n" for line in lines)
        _write_all(plain.encode("utf-8", "replace"))


def _write_all(data: bytes) -> None:
    """Write to standard output whatever it takes; a closed reader must not stop the mail."""
    try:
        sys.stdout.flush()
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return
