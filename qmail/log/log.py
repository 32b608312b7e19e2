"""Log lines: written to standard output, and said on the bus as events, some together.

The role log keeps multilog directories from these events (log.<name>); `python -m services.*` alone needs
only standard output, as with daemontools' multilog behind a pipe (multilog(8)).

Why lines wait: docs/decisions/0024-what-a-message-costs-in-words.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable

from qmail.log.notices import Notices
from qmail.message.dates import rfc3339, tai64n
from qmail.message.printable import printable

# Lines gathered while the reader of standard output is slow; beyond this the oldest go, never the mail.
MAX_PENDING_LINES = 10_000
# How long lines wait for company. Written once a turn of the loop they took a fifth of what smtpd and the queue need
# for a message; events explain and are never the truth, so that a killed process may lose the last of them.
GATHER_SECONDS = 0.05
# One log line; a hostile peer's text must not fill the disk.
MAX_LINE_CHARACTERS = 4000
# A stamp, which is all ASCII, and the blank behind it.
_STAMP_CHARACTERS = 26
#: What standard output may have: lines as multilog has them, or an object a line.
FORMATS = ("qmail", "json")


class Log:
    """One service's log, named as its directory below /var/log (qmail, qmail-smtpd, qmail-pop3d, imapd)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notices = Notices(self.line)
        self._say: Callable[[list[str]], None] | None = None
        self._pending: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._as_json = False

    def write_as(self, form: str) -> None:
        """One of FORMATS, from now on. Raises ValueError."""
        if form not in FORMATS:
            raise ValueError(f"{form!r}; expected {' or '.join(FORMATS)}")
        self._as_json = form == "json"

    def attach(self, say: Callable[[list[str]], None]) -> None:
        """Give every further group of stamped lines to `say` as well (qmail.bus.talk.log_lines)."""
        self._say = say

    def line(self, text: str) -> None:
        """Take one line, without its newline; what is not printable is escaped."""
        if len(self._pending) >= MAX_PENDING_LINES:
            del self._pending[0]
        self._pending.append(f"{tai64n(time.time())} {printable(text)[:MAX_LINE_CHARACTERS]}")
        if self._timer is None:
            self._schedule()

    def _schedule(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        self._timer = loop.call_later(GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is pending to standard output and send it to the bus, at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._pending = self._pending, []
        if not lines:
            return
        if self._say is not None:
            self._say(lines)
        _write_all("".join(map(self._rendered, lines)).encode("utf-8", "replace"))

    def _rendered(self, line: str) -> str:
        """For standard output: multilog's text without its stamp, since the engine stamps what it collects, or JSON."""
        text = line[_STAMP_CHARACTERS:]
        if not self._as_json:
            return text + "\n"
        fields = {"time": rfc3339(line), "log": self.name, "level": _level(text), "message": text}
        return json.dumps(fields, ensure_ascii=False) + "\n"


def _level(text: str) -> str:
    """The words of syslog(3) that collectors of logs know."""
    word = text.partition(" ")[0]
    return {"alert:": "alert", "refused": "notice"}.get(word, "info")


def _write_all(data: bytes) -> None:
    """Write to standard output whatever it takes; a closed reader must not stop the mail."""
    try:
        sys.stdout.flush()
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return
