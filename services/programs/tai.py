"""tai64n(8) and tai64nlocal(8): lines with their times, and these times as people read them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from qmail.message.dates import tai64n, tai64nlocal
from services.programs.program import Program, read_pieces, write_all

_STAMP = re.compile(rb"@[0-9a-f]*\Z")


def stamp(_arguments: Sequence[bytes]) -> int:
    """A stamp in front of each line, from when its first byte came."""
    begins = True
    for piece in read_pieces():
        mark = tai64n(time.time()).encode() + b" "
        out = bytearray()
        for line in _lines(piece):
            out += (mark if begins else b"") + line
            begins = line.endswith(b"\n")
        write_all(1, bytes(out))
    return 0


def _lines(piece: bytes) -> Iterator[bytes]:
    """Lines that end in LF alone."""
    *lines, rest = piece.split(b"\n")
    yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def local(_arguments: Sequence[bytes]) -> int:
    """The stamp at a line's beginning as local time (TZ); any other line as it is."""
    rest = b""
    for piece in read_pieces():
        *lines, rest = (rest + piece).split(b"\n")
        write_all(1, b"".join(_read(line) + b"\n" for line in lines))
    if not _STAMP.match(rest):
        write_all(1, _read(rest))
    return 0


def _read(line: bytes) -> bytes:
    return tai64nlocal(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


PROGRAMS: dict[str, Program] = {"tai64n": stamp, "tai64nlocal": local}
