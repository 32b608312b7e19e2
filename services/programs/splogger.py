"""splogger(8): lines to syslog, each with its time. Where there is no syslog they are lost, as by syslog(3)."""

from __future__ import annotations

import os
import re
import syslog
import time
from collections.abc import Iterator, Sequence

from services.programs.program import Program, read_pieces

# What syslog takes of a line at a time.
_PIECE_BYTES = 799
_PRIORITIES = ((b"warning:", syslog.LOG_WARNING), (b"alert:", syslog.LOG_ALERT))


def splogger(arguments: Sequence[bytes]) -> int:
    """Log standard input to its end, under the name and with the facility (a number) given."""
    name = os.fsdecode(arguments[0]) if arguments else "splogger"
    number = re.match(rb"\d*", arguments[1]) if len(arguments) > 1 else None
    syslog.openlog(name, 0, int(number[0] or 0) << 3 if number else syslog.LOG_MAIL)
    rest = b""
    for piece in read_pieces():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            _log(line, time.time())
    # A last line that was not ended is not logged (splogger.c).
    return 0


def _log(line: bytes, now: float) -> None:
    for priority, text in entries(line, now):
        syslog.syslog(priority, text)


def entries(line: bytes, now: float) -> Iterator[tuple[int, str]]:
    """The entries that a line becomes: its stamp, and `+` in those that go on."""
    shown = "".join(chr(octet) if 32 <= octet <= 126 else "?" for octet in line)
    priority = next((value for word, value in _PRIORITIES if line.startswith(word)), syslog.LOG_INFO)
    for at in range(0, len(shown), _PIECE_BYTES):
        yield priority, f"{now:.6f}{'+' if at else ' '}{shown[at : at + _PIECE_BYTES]}"


PROGRAMS: dict[str, Program] = {"splogger": splogger}
