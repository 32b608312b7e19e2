"""Header fields: finding, cutting and unfolding them (RFC 5322 2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from services.imap.message.text import Data

#: So many fields of a message are looked at, in so many bytes, all its parts together: a field costs more memory than
#: its line. Headers are served whole.
MAX_FIELDS = 10_000
MAX_HEADERS_BYTES = 512 * 1024

_PIECE_BYTES = 8 * 1024
_HEADER_END = re.compile(rb"\n\r?\n")
_BLANKS = re.compile(rb"[ \t\r\n]+")
_FOLDED = re.compile(rb"[\t\r\n]|  ")
_LINES = re.compile(rb"[^\n]*\n(?:[ \t][^\n]*(?:\n|\Z))*|[^\n]+\Z")


class Field(NamedTuple):
    """One header field as stored."""

    name: bytes  #: lower case, without blanks at its end; the whole line where there is no colon
    raw: bytes  #: all its lines, with the line end of the last
    colon: int  #: offset of the colon in `raw`, -1 if there is none

    @property
    def value(self) -> bytes:
        """What follows the colon, folded as stored."""
        return self.raw[self.colon + 1 :] if self.colon >= 0 else b""


def header_end(data: Data, start: int, end: int) -> int:
    """Offset of the body of the entity at `data[start:end]`: behind the empty line, or `end` if there is none."""
    first = data[start : min(start + 2, end)]
    if first[:1] == b"\n":
        return start + 1
    if first == b"\r\n":
        return start + 2
    while start < end:
        piece = data[start : min(start + _PIECE_BYTES, end)]
        found = _HEADER_END.search(piece)
        if found:
            return start + found.end()
        # An empty line may lie across the pieces.
        start += max(1, len(piece) - 2)
    return end


def fields(data: Data, start: int, end: int, most: int = MAX_FIELDS) -> list[Field]:
    """The fields of the header at `data[start:end]`, in order; `most` lines are looked at."""
    found = []
    for raw in _lines(data[start:end], most):
        colon = raw.find(b":")
        if colon >= 0:
            found.append(Field(raw[:colon].rstrip().lower(), raw, colon))
        elif raw.strip(b"\r\n"):
            found.append(Field(raw.rstrip().lower(), raw, colon))
    return found


def _lines(header: bytes, most: int) -> Iterable[bytes]:
    if len(header) <= _PIECE_BYTES:
        return _LINES.findall(header)[:most]
    return (line[0] for line in islice(_LINES.finditer(header), most))


def empty_line(data: Data, start: int, body: int) -> bytes:
    """The empty line that ends the header at `data[start:body]`, b"" if it has none."""
    tail = data[max(start, body - 3) : body]
    return b"\n" if tail in (b"\n", b"\r\n") or tail.endswith((b"\n\n", b"\n\r\n")) else b""


def read_header(data: Data) -> list[Field]:
    """The fields of a message's header, without a look at the rest."""
    return fields(data, 0, min(header_end(data, 0, len(data)), MAX_HEADERS_BYTES))


def first(header: Iterable[Field], name: bytes) -> bytes | None:
    """The folded value of the first field called `name` (lower case)."""
    return next((field.value for field in header if field.name == name), None)


def last(header: Sequence[Field], name: bytes) -> bytes | None:
    """The folded value of the last field called `name` (lower case)."""
    return first(reversed(header), name)


def unfold(value: bytes) -> bytes:
    """A value on one line: each fold and each run of blanks is one blank, none at the ends (RFC 5322 2.2.3)."""
    return (_BLANKS.sub(b" ", value) if _FOLDED.search(value) else value).strip(b" ")


def pick(header: Sequence[Field], names: Iterable[bytes], *, others: bool) -> bytes:
    """The raw fields that are called one of `names`, or, with `others`, those that are not (RFC 3501 6.4.5)."""
    wanted = {name.lower() for name in names}
    return b"".join(field.raw for field in header if (field.name in wanted) != others)
