"""Cuts a client's bytes into commands: lines, and the literals that they announce (RFC 3501 section 4.3).

Everything is bounded. A literal is never taken without being asked about: the session says whether it goes into
memory (`accept_literal`), through in pieces (`stream_literal`: APPEND) or nowhere (`refuse_literal`).
Non-synchronising literals (LITERAL+, RFC 7888) arrive whether wanted or not, so a refused one is read and dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

MAX_LINE_BYTES = 64 * 1024
MAX_LITERAL_BYTES = 64 * 1024
# A command's lines and literals together; also what an attacker can make one session hold.
MAX_COMMAND_BYTES = 256 * 1024
# What each of them costs beside its octets, so that empty ones count as well.
PART_BYTES = 128

_LITERAL = re.compile(rb"\{([0-9]{1,20})(\+?)\}\Z")
# At least the longest mark and a CR.
_MARK_BYTES = 32
# A literal is decided on by what comes first: `tag APPEND `, the mailbox as a literal, flags and date.
_HEAD_PARTS = 3


@dataclass(frozen=True, slots=True)
class Complete:
    """A whole command: text, literal, text, literal, ... text; the `{n}` marks are gone.

    Behind a literal that was streamed: what came after it."""

    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Announced:
    """A literal of `size` octets follows; the session must now decide. `parts`: the first of the command's."""

    parts: tuple[bytes, ...]
    size: int
    synchronising: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed literal; `last` with its end."""

    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line or a command beyond its bound; what is left of it will be dropped."""

    parts: tuple[bytes, ...]


Event: TypeAlias = Complete | Announced | Chunk | TooLong


class CommandReader:
    """Bytes in, in any split; events out, one a call."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._announced: Announced | None = None
        self._mode = "line"
        self._left = 0

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def clear(self) -> None:
        """Forget everything that was received (at STARTTLS, RFC 3501 section 6.2.1)."""
        self.__init__()  # type: ignore[misc]

    def next(self) -> Event | None:
        """The next event, None when more bytes are needed."""
        if self._announced is not None:
            raise RuntimeError("a literal awaits its decision")
        if self._mode == "dropping literal" and not self._drop_literal():
            return None
        if self._mode == "dropping line" and not self._drop_line():
            return None
        if self._mode == "streaming":
            return self._next_chunk()
        if self._mode == "literal" and not self._take_literal():
            return None
        return self._next_line_event()

    def next_line(self) -> bytes | TooLong | None:
        """A bare line without its end and without looking for literals (after `+`: AUTHENTICATE, IDLE)."""
        if self._mode == "dropping line" and not self._drop_line():
            return None
        return self._cut_line()

    @property
    def undecided(self) -> bool:
        """Whether a literal awaits its decision."""
        return self._announced is not None

    def accept_literal(self) -> None:
        """Take the announced literal into memory."""
        assert self._announced is not None
        self._left, self._mode, self._announced = self._announced.size, "literal", None

    def stream_literal(self) -> None:
        """Give the announced literal out as Chunks."""
        assert self._announced is not None
        self._left, self._mode, self._announced = self._announced.size, "streaming", None

    def refuse_literal(self) -> None:
        """Drop the command: at once, if the client waits for leave to go on, else with the octets it sends anyway."""
        assert self._announced is not None
        if self._announced.synchronising:
            self._mode = "line"
        else:
            self._left, self._mode = self._announced.size, "dropping literal"
        self._announced = None
        self._begin()

    def _begin(self) -> None:
        self._parts, self._size = [], 0

    def _cut_line(self) -> bytes | TooLong | None:
        end = self._buffer.find(b"\n", self._scanned, MAX_LINE_BYTES + 2)
        if end < 0:
            self._scanned = len(self._buffer)
            # As far as the search above goes: a line is too long however it was cut.
            if self._scanned < MAX_LINE_BYTES + 2:
                return None
            return self._too_long(bytes(self._buffer[:1000]))
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        return line[:-1] if line.endswith(b"\r") else line

    def _too_long(self, head: bytes) -> TooLong:
        event = TooLong((*self._parts, head))
        self._begin()
        self._scanned, self._mode = 0, "dropping line"
        return event

    def _next_line_event(self) -> Event | None:
        line = self._cut_line()
        if line is None or isinstance(line, TooLong):
            return line
        mark = _LITERAL.search(line)
        text = line[: mark.start()] if mark else line
        self._keep(text)
        if self._size > MAX_COMMAND_BYTES:
            event = TooLong(tuple(self._parts[:_HEAD_PARTS]))
            self._begin()
            if mark is not None and mark[2]:
                self._left, self._mode = int(mark[1]), "dropping literal"
            return event
        if mark is None:
            complete = Complete(tuple(self._parts))
            self._begin()
            return complete
        self._announced = Announced(tuple(self._parts[:_HEAD_PARTS]), int(mark[1]), not mark[2])
        return self._announced

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part) + PART_BYTES

    def fits(self, announced: Announced) -> bool:
        """Whether the announced literal is within the bounds for literals in memory."""
        after = self._size + announced.size + PART_BYTES
        return announced.size <= MAX_LITERAL_BYTES and after <= MAX_COMMAND_BYTES

    def _take_literal(self) -> bool:
        if len(self._buffer) < self._left:
            return False
        self._keep(bytes(self._buffer[: self._left]))
        del self._buffer[: self._left]
        self._mode = "line"
        return True

    def _next_chunk(self) -> Chunk | None:
        if not self._buffer and self._left:
            return None
        data = bytes(self._buffer[: self._left])
        del self._buffer[: len(data)]
        self._left -= len(data)
        if self._left == 0:
            self._mode = "line"
            # Whoever streams remembers the command; MULTIAPPEND may go on like this for ever.
            self._begin()
        return Chunk(data, self._left == 0)

    def _drop_literal(self) -> bool:
        dropped = min(self._left, len(self._buffer))
        del self._buffer[:dropped]
        self._left -= dropped
        if self._left:
            return False
        self._mode = "dropping line"
        return True

    def _drop_line(self) -> bool:
        while True:
            end = self._buffer.find(b"\n")
            if end < 0:
                self._buffer[:] = bytes(self._buffer[-_MARK_BYTES:])
                return False
            mark = _LITERAL.search(bytes(self._buffer[:end]).removesuffix(b"\r"))
            del self._buffer[: end + 1]
            if mark is None or not mark[2]:
                self._mode = "line"
                return True
            # The dropped command goes on with another literal that the client sends unasked.
            self._left, self._mode = int(mark[1]), "dropping literal"
            if not self._drop_literal():
                return False
