"""The MIME structure of a message as offsets into its file (RFC 2045, RFC 2046).

One pass, never backwards: every open multipart knows where its boundary comes next. A boundary line is recognised by
its beginning; where several fit the longest does. Bounded by depth and by number of parts: beyond these the rest of the
message is the text of the last part.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.imap.message.header import MAX_FIELDS, MAX_HEADERS_BYTES, Field, fields, first, header_end
from services.imap.message.params import ContentType, parse_content_type
from services.imap.message.text import Data, Text

MAX_DEPTH = 100
MAX_PARTS = 5000
#: Longer boundaries are cut, in bytes (RFC 2046 5.1.1 allows 70).
MAX_BOUNDARY_BYTES = 80

TEXT_PLAIN = ContentType(type=b"text", subtype=b"plain", params=())
_MESSAGE = ContentType(type=b"message", subtype=b"rfc822", params=())


@dataclass(slots=True, kw_only=True, eq=False)
class Part:
    """An entity: header at `start`, body at `body`, both up to `end`. Complete once `parse` has returned."""

    start: int
    body: int
    end: int
    header: list[Field]
    content: ContentType
    multipart: bool = False
    #: The parts of a multipart, or the one message in a message/rfc822.
    children: list[Part] = field(default_factory=list)

    @property
    def enclosed(self) -> Part | None:
        """The message that a message/rfc822 part holds."""
        return None if self.multipart or not self.children else self.children[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A parsed message and the text it was parsed from."""

    text: Text
    root: Part


def parse(data: Data, text: Text | None = None) -> Message:
    """Parses any bytes; nothing is raised. text: of the same data, where there is one already."""
    return Message(text=text or Text(data), root=_Parser(data).parse())


def parse_head(data: Data, text: Text | None = None) -> Message:
    """The message with its header alone: no look at what the body is made of. text: as of `parse`."""
    return Message(text=text or Text(data), root=_Parser(data).head())


@dataclass(slots=True, eq=False)
class _Open:
    """A multipart whose end has not been seen. No boundary line of it lies between what was read and `next`."""

    part: Part
    depth: int
    boundary: bytes
    next: int = -1
    found: bool = False  # whether one lies at `next`


def _boundary(content: ContentType) -> bytes | None:
    value = content.param(b"boundary") if content.is_a(b"multipart") else None
    return None if value is None else value.rstrip(b" \t")[:MAX_BOUNDARY_BYTES]


class _Parser:
    def __init__(self, data: Data) -> None:
        self.data = data
        self.length = len(data)
        self.stack: list[_Open] = []
        self.chain: list[Part] = []  # the parts that end where the innermost ends, outermost first
        self.count = 0
        self.header_bytes_left = MAX_HEADERS_BYTES
        self.fields_left = MAX_FIELDS

    def head(self) -> Part:
        return self._entity(0, digest=None)

    def parse(self) -> Part:
        root = self._entity(0, digest=None)
        self.chain = [root]
        at = self._descend(root)
        while self.stack:
            line = self._next_boundary(at)
            if line is None:
                break
            at = self._boundary_line(line)
        self._finish(0, self.length)
        return root

    # -- entities

    def _entity(self, start: int, *, digest: bool | None) -> Part:
        """Reads the header at `start`."""
        self.count += 1
        limit = self._limit(start)
        body = header_end(self.data, start, limit)
        header = self._header(start, body)
        value = first(header, b"content-type")
        if value is not None:
            content = parse_content_type(value)
        else:
            content = _MESSAGE if digest else TEXT_PLAIN
        if body == limit < self.length and not self._begins_with_own(content, limit):
            body = max(start, self._without_line_end(body))  # the line end before a boundary line belongs to that
        return Part(start=start, body=body, end=self.length, header=header, content=content)

    def _header(self, start: int, body: int) -> list[Field]:
        """The fields of the header there, as far as the bounds on all headers together allow."""
        end = min(body, start + self.header_bytes_left)
        header = fields(self.data, start, end, self.fields_left)
        self.header_bytes_left -= end - start
        self.fields_left -= len(header)
        return header

    def _begins_with_own(self, content: ContentType, at: int) -> bool:
        """Whether the boundary line at `at` is rather the first of the multipart that its header announces."""
        own = _boundary(content)
        if own is None or self.data[at : at + 2 + len(own)] != b"--" + own:
            return False
        return len(own) >= len(self._owner(at - 1).boundary)

    def _limit(self, start: int) -> int:
        """Where the next boundary line begins, at or behind `start`."""
        if not self.stack:
            return self.length
        line = self._next_boundary(start)
        return self.length if line is None else line + 1

    def _descend(self, part: Part) -> int:
        """Opens what `part` is made of, down to its first header without parts; the place to go on from."""
        while True:
            if self.count >= MAX_PARTS or len(self.chain) >= MAX_DEPTH:
                return part.body
            if part.content.is_a(b"message", b"rfc822"):
                child = self._entity(part.body, digest=None)
                part.children.append(child)
                self.chain.append(child)
                part = child
                continue
            boundary = _boundary(part.content)
            if boundary is not None:
                part.multipart = True
                self.stack.append(_Open(part, len(self.chain), boundary))
            return part.body

    def _finish(self, depth: int, end: int) -> None:
        """Ends the open parts below `depth` at `end`."""
        for part in self.chain[depth:]:
            part.end = max(end, part.body)
        del self.chain[depth:]

    def _without_line_end(self, at: int) -> int:
        if at > 0 and self.data[at - 1 : at] == b"\n":
            at -= 1
            if at > 0 and self.data[at - 1 : at] == b"\r":
                at -= 1
        return at

    # -- boundaries

    def _boundary_line(self, line: int) -> int:
        """Takes the boundary line whose "--" is behind the LF at `line`; the place to go on from."""
        owner = self._owner(line)
        del self.stack[self.stack.index(owner) + 1 :]
        self._finish(owner.depth, self._without_line_end(line + 1))
        behind = line + 3 + len(owner.boundary)
        if self.data[behind : behind + 2] == b"--":
            self.stack.pop()
            return behind
        if self.count >= MAX_PARTS:
            self.stack.clear()
            return behind
        start = self.data.find(b"\n", behind)
        start = self.length if start < 0 else start + 1
        part = self._entity(start, digest=owner.part.content.is_a(b"multipart", b"digest"))
        owner.part.children.append(part)
        self.chain.append(part)
        return self._descend(part)

    def _next_boundary(self, at: int) -> int | None:
        """Offset of the LF before the next boundary line at or behind `at` (that LF may be the byte before `at`)."""
        at = max(at - 1, 0)
        nearest: int | None = None
        for open_ in self.stack:
            if open_.next >= self.length:
                continue
            if open_.next < at or not open_.found:
                self._search(open_, max(at, open_.next), nearest)
            if open_.found and (nearest is None or open_.next < nearest):
                nearest = open_.next
        return nearest

    def _search(self, open_: _Open, at: int, nearest: int | None) -> None:
        limit = self.length if nearest is None else min(self.length, nearest + 3 + len(open_.boundary))
        found = self.data.find(b"\n--" + open_.boundary, at, limit)
        open_.found = found >= 0
        if found >= 0:
            open_.next = found
        else:
            open_.next = self.length if limit == self.length else max(at, limit - 2 - len(open_.boundary))

    def _owner(self, line: int) -> _Open:
        """Whose boundary the line is: the innermost that it is exactly, else the longest it begins with."""
        here = [open_ for open_ in reversed(self.stack) if open_.found and open_.next == line]
        if len(here) == 1:
            return here[0]
        end = self.data.find(b"\n", line + 1, line + MAX_BOUNDARY_BYTES + 8)
        text = self.data[line + 3 : end if end >= 0 else line + MAX_BOUNDARY_BYTES + 8].rstrip(b"\r")
        best = here[0]
        for open_ in here:
            if text in (open_.boundary, open_.boundary + b"--"):
                return open_
            if len(open_.boundary) > len(best.boundary):
                best = open_
        return best
