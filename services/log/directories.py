"""The log directories, one for each name."""

from __future__ import annotations

import contextlib
from pathlib import Path

from qmail.bus.talk.log_lines import LogLines
from services.log.multilog import Multilog

# Logs that the roles keep, as the tutorial's chapter 5.1.9 makes them.
TUTORIAL = ("qmail", "qmail-smtpd", "qmail-pop3d")
MAX_LOGS = 32


class LogDirectories:
    """Every log below one directory."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._logs: dict[str, Multilog] = {}

    def make(self) -> None:
        """The tutorial's, which are looked for before there is a line. Raises OSError."""
        for name in TUTORIAL:
            (self._top / name).mkdir(mode=0o755, parents=True, exist_ok=True)

    def write(self, event: LogLines) -> None:
        """All lines of an event, or none. Raises OSError, with the file's name."""
        if not event.lines:
            return
        if event.name not in self._logs:
            if len(self._logs) >= MAX_LOGS:
                return
            self._logs[event.name] = Multilog(self._top / event.name)
        self._logs[event.name].write("\n".join(event.lines) + "\n")

    def close(self) -> None:
        for log in self._logs.values():
            with contextlib.suppress(OSError):
                log.close()
