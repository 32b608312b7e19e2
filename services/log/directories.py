"""The log directories, a name each: what a role sends is whole stamped lines of printable characters, or is dropped."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from qmail.message.printable import printable
from services.log.multilog import Multilog

# Logs that the roles keep, as the tutorial's chapter 5.1.9 makes them.
TUTORIAL = ("qmail", "qmail-smtpd", "qmail-pop3d")
MAX_LOGS = 32
MAX_LINE_CHARACTERS = 4200

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_STAMP = re.compile(r"@[0-9a-f]{24} ")


def clean_lines(payload: bytes) -> str:
    """Whole stamped lines of printable characters: what a role sends is not believed. Others are dropped."""
    lines = payload.decode("utf-8", "surrogateescape").split("\n")
    return "".join([printable(line)[:MAX_LINE_CHARACTERS] + "\n" for line in lines if _STAMP.match(line)])


class LogDirectories:
    """Every log below one directory."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._logs: dict[str, Multilog] = {}

    def make(self) -> None:
        """The tutorial's, which are looked for before there is a line. Raises OSError."""
        for name in TUTORIAL:
            (self._top / name).mkdir(mode=0o755, parents=True, exist_ok=True)

    def write(self, name: str, payload: bytes) -> None:
        """All lines of an event, or none. Raises OSError, with the file's name."""
        lines = clean_lines(payload)
        if not lines or not _NAME.fullmatch(name):
            return
        if name not in self._logs:
            if len(self._logs) >= MAX_LOGS:
                return
            self._logs[name] = Multilog(self._top / name)
        self._logs[name].write(lines)

    def close(self) -> None:
        """Sync and close them all."""
        for log in self._logs.values():
            with contextlib.suppress(OSError):
                log.close()
