"""preline(1) and predate(1): lines in front of the message, for another program."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from services.programs.options import Options
from services.programs.program import (
    PERMANENT,
    Ends,
    Program,
    exit_code,
    is_temporary,
    of_system,
    read_pieces,
    start,
    variable,
    write_all,
)

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PRELINE_USAGE = b"preline: usage: preline cmd [ arg ... ]"


def preline(arguments: Sequence[bytes]) -> int:
    """UFLINE, RPLINE and DTLINE, but for those that -f, -r and -d leave out; -F, -R, -D put them back."""
    lines = {letter: variable(name) for letter, name in ((b"f", b"UFLINE"), (b"r", b"RPLINE"), (b"d", b"DTLINE"))}
    if None in lines.values():
        raise Ends(PERMANENT, _PRELINE_USAGE)
    options = Options(b"preline", arguments, b"frdFRD", usage=_PRELINE_USAGE)
    wanted = dict.fromkeys(lines, True)
    for letter, _ in options:
        wanted[letter.lower()] = letter.isupper()
    if not options.rest:
        raise Ends(PERMANENT, _PRELINE_USAGE)
    return _feed(b"preline", options.rest, b"".join(line for each, line in lines.items() if wanted[each] and line))


def predate(arguments: Sequence[bytes]) -> int:
    """A Date field in local time."""
    if not arguments:
        raise Ends(PERMANENT, b"predate: usage: predate child")
    return _feed(b"predate", arguments, b"Date: " + local_date(time.time()) + b"\n")


def local_date(seconds: float) -> bytes:
    """`27 May 2003 16:15:16 +0700`, the time zone's own (TZ)."""
    t = time.localtime(seconds)
    minutes = t.tm_gmtoff // 60
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    month = _MONTHS[t.tm_mon - 1]
    return f"{t.tm_mday} {month} {t.tm_year} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {zone}".encode()


def _feed(program: bytes, command: Sequence[bytes], first: bytes) -> int:
    """Run the command with `first` and our standard input as its own; its exit code."""
    reader, writer = os.pipe()
    try:
        pid = start(command, reader)
    except OSError as error:
        code = 111 if program == b"predate" or is_temporary(error) else PERMANENT
        ends = of_system(program, b"unable to run " + command[0], error)
        ends.code = code
        raise ends from error
    os.close(reader)
    try:
        write_all(writer, first)
        for piece in read_pieces():
            write_all(writer, piece)
    except BrokenPipeError:
        pass  # it has read what it wanted
    except OSError as error:
        raise of_system(program, b"unable to copy input", error) from error
    os.close(writer)
    return exit_code(program, pid)


PROGRAMS: dict[str, Program] = {"preline": preline, "predate": predate}
