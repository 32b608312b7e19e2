"""Header fields and where the header ends (RFC 822 3.1; hfield.c and headerbody.c of qmail)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_NAME = re.compile(rb"[!-9;-~]+[ \t]*:")
KNOWN = frozenset(
    {
        *(b"sender", b"from", b"reply-to", b"to", b"cc", b"bcc", b"date", b"message-id", b"subject"),
        *(b"resent-sender", b"resent-from", b"resent-reply-to", b"resent-to", b"resent-cc", b"resent-bcc"),
        *(b"resent-date", b"resent-message-id", b"return-receipt-to", b"errors-to", b"apparently-to"),
        *(b"received", b"return-path", b"delivered-to", b"content-length", b"content-type"),
        *(b"content-transfer-encoding", b"notice-requested-upon-delivery-to", b"mail-followup-to"),
    }
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field with its folded lines and last newline."""

    line: bytes


@dataclass(frozen=True, slots=True)
class EndOfHeader:
    """Every field has been seen."""


@dataclass(frozen=True, slots=True)
class Body:
    """A line of the body, the blank line in front of it included."""

    line: bytes


def is_field(line: bytes) -> bool:
    """Whether a line begins with a field name: printable ASCII, then blanks, then a colon."""
    return _NAME.match(line) is not None


def known_name(line: bytes) -> bytes:
    """The field's name in lower case where qmail knows it, else empty."""
    name = line.split(b":", 1)[0].rstrip(b" \t").lower()
    return name if name in KNOWN else b""


def split_message(lines: Iterable[bytes]) -> Iterator[Field | EndOfHeader | Body]:
    """A message's lines (a last one without newline gets it) as fields and body.

    A line that is no field ends the header, and a blank line is put before it."""
    source = (line if line.endswith(b"\n") else line + b"\n" for line in lines)
    field = b""
    for line in source:
        if field and line[:1] in (b" ", b"\t"):
            field += line
            continue
        if field:
            yield Field(field)
        if line == b"\n" or not (line.startswith(b"From ") or is_field(line)):
            yield EndOfHeader()
            if line != b"\n":
                yield Body(b"\n")
            yield Body(line)
            yield from map(Body, source)
            return
        # mbox's separator is kept, but not as a field of that name.
        field = b"MBOX-Line: " + line if line.startswith(b"From ") else line
    if field:
        yield Field(field)
    yield EndOfHeader()
