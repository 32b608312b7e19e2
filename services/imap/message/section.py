"""BODY[...] sections and partial fetches (RFC 3501 6.4.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.imap.message.header import empty_line, pick
from services.imap.message.parse import TEXT_PLAIN, Message, Part
from services.imap.message.text import Text


@dataclass(frozen=True, slots=True)
class SectionSpec:
    """What stands in BODY[...]: `part` numbers; `kind` None, HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME;
    `fields` the names after HEADER.FIELDS(.NOT)."""

    part: tuple[int, ...] = ()
    kind: str | None = None
    fields: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A section to send: `size` bytes, which iterating yields in pieces of at most 512 kB, as often as wanted."""

    text: Text
    start: int
    end: int
    offset: int
    size: int
    ready: bytes | None = None  # what had to be put together, with CRLF

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces():
            yield piece.replace(b"\0", b"\x80")  # RFC 3501 9: no NUL in a literal

    def _pieces(self) -> Iterator[bytes]:
        if self.ready is None:
            return self.text.pieces(self.start, self.end, self.offset, self.size)
        return iter((self.ready[self.offset : self.offset + self.size],) if self.size else ())


def rfc822_size(text: Text) -> int:
    """RFC822.SIZE: bytes of the message in CRLF form."""
    return text.size(0, text.length)


def whole(text: Text, partial: tuple[int, int] | None = None) -> Section:
    """The whole message, or a part of it, without a look at what it is made of."""
    return _range(text, 0, text.length, partial)


def section(message: Message, spec: SectionSpec, partial: tuple[int, int] | None = None) -> Section | None:
    """The section, or `partial` = (offset, at most so many bytes) of it. None: the message has no such part.

    For a section of no part the header alone must have been parsed (`parse_head`)."""
    part = _find(message.root, spec.part)
    if part is None:
        return None
    if spec.kind == "MIME":
        return _range(message.text, part.start, part.body, partial)
    holder = part if not spec.part else part.enclosed
    if spec.kind is None:
        start = part.start if not spec.part else part.body
        return _range(message.text, start, part.end, partial)
    if holder is None:
        return None
    if spec.kind == "TEXT":
        return _range(message.text, holder.body, holder.end, partial)
    if spec.kind == "HEADER":
        return _range(message.text, holder.start, holder.body, partial)
    return _fields(message.text, holder, spec, partial)


def _find(part: Part, numbers: tuple[int, ...]) -> Part | None:
    """Part 1 of what is no multipart is its text; numbers below a message/rfc822 are those of the message in it."""
    for index, number in enumerate(numbers):
        if index and part.enclosed is not None:
            part = part.enclosed
        elif index and not part.multipart:
            return None
        if part.content.is_a(b"multipart") and not part.children and number == 1:
            part = _nothing(part)
        elif part.multipart:
            if not 0 < number <= len(part.children):
                return None
            part = part.children[number - 1]
        elif number != 1:
            return None
    return part


def _nothing(part: Part) -> Part:
    """The empty text that BODYSTRUCTURE shows in a multipart without parts."""
    return Part(start=part.end, body=part.end, end=part.end, header=[], content=TEXT_PLAIN)


def _range(text: Text, start: int, end: int, partial: tuple[int, int] | None) -> Section:
    if partial is not None and sum(partial) <= end - start:
        # In CRLF form it is no shorter: no need to count what nobody asks for.
        return Section(text, start, end, *partial)
    offset, size = _cut(text.size(start, end), partial)
    return Section(text, start, end, offset, size)


def _fields(text: Text, part: Part, spec: SectionSpec, partial: tuple[int, int] | None) -> Section:
    others = spec.kind == "HEADER.FIELDS.NOT"
    raw = pick(part.header, spec.fields, others=others)
    if others:  # the empty line, if the header has one
        raw += empty_line(text.data, part.start, part.body)
    else:  # one always, or the line end that the header lacks
        raw += b"\n"
    ready = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    offset, size = _cut(len(ready), partial)
    return Section(text, 0, 0, offset, size, ready)


def _cut(size: int, partial: tuple[int, int] | None) -> tuple[int, int]:
    if partial is None:
        return 0, size
    offset = min(partial[0], size)
    return offset, min(partial[1], size - offset)
