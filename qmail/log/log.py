"""Log lines: written once per turn of the event loop to standard output, and gathered for the bus as events.

The role log keeps multilog directories from these events (log.<name>); `python -m services.*` alone needs
only standard output, as with daemontools' multilog behind a pipe (multilog(8)).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable

from qmail.log.notices import Notices
from qmail.message.dates import tai64n
from qmail.message.printable import printable

# Lines gathered while the reader of standard output is slow; beyond this the oldest go, never the mail.
MAX_PENDING_LINES = 10_000
# How long lines wait for company before they go to the bus.
EVENT_SECONDS = 0.1
# One log line; a hostile peer's text must not fill the disk.
MAX_LINE_CHARACTERS = 4000


class Log:
    """One service's log, named as its directory below /var/log (qmail, qmail-smtpd, qmail-pop3d, imapd)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notices = Notices(self.line)
        self._say: Callable[[list[str]], None] | None = None
        self._pending: list[str] = []
        self._scheduled = False
        self._events: list[str] = []
        self._events_timer: asyncio.TimerHandle | None = None

    def attach(self, say: Callable[[list[str]], None]) -> None:
        """Give every further group of stamped lines to `say` as well (qmail.bus.talk.log_lines)."""
        self._say = say

    def line(self, text: str) -> None:
        """Take one line, without its newline; what is not printable is escaped."""
        if len(self._pending) >= MAX_PENDING_LINES:
            del self._pending[0]
        self._pending.append(f"{tai64n(time.time())} {printable(text)[:MAX_LINE_CHARACTERS]}")
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
        """Write what is pending to standard output, at once."""
        self._scheduled = False
        lines, self._pending = self._pending, []
        if not lines:
            return
        if self._say is not None:
            self._gather(lines)
        # Standard output has multilog's text without its stamp: the engine stamps what it collects.
        plain = "".join(line[26:] + "\n" for line in lines)
        _write_all(plain.encode("utf-8", "replace"))

    def _gather(self, lines: list[str]) -> None:
        """Events explain and are never the truth: they need not go one by one."""
        self._events += lines
        if self._events_timer is None:
            try:
                self._events_timer = asyncio.get_running_loop().call_later(EVENT_SECONDS, self.publish)
            except RuntimeError:
                self.publish()

    def close(self) -> None:
        """Write and send everything, at the end of a process."""
        self.flush()
        self.publish()

    def publish(self) -> None:
        """Send the gathered lines to the bus, at once."""
        if self._events_timer is not None:
            self._events_timer.cancel()
            self._events_timer = None
        lines, self._events = self._events, []
        if lines and self._say is not None:
            self._say(lines)


def _write_all(data: bytes) -> None:
    """Write to standard output whatever it takes; a closed reader must not stop the mail."""
    try:
        sys.stdout.flush()
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return
