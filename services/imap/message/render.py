"""IMAP strings and lists on the wire (RFC 3501 4.3, 4.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable

NIL = b"NIL"
_QUOTED = re.compile(rb"[ !#-\[\]-~]*\Z")
_QUOTABLE = re.compile(rb"[\t -~]*\Z")
#: A longer string goes as a literal, in bytes: some clients read a line into a fixed buffer.
MAX_QUOTED_BYTES = 4000


def string(value: bytes) -> bytes:
    """A quoted string where that is allowed, else a literal. A NUL, which neither may hold, becomes U+FFFD."""
    if b"\0" in value:
        value = value.replace(b"\0", b"\xef\xbf\xbd")
    if len(value) <= MAX_QUOTED_BYTES:
        if _QUOTED.match(value):
            return b'"%b"' % value
        if _QUOTABLE.match(value):
            return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """A string or NIL."""
    return NIL if value is None else string(value)


def group(items: Iterable[bytes]) -> bytes:
    """A parenthesised list of what is already in wire form."""
    return b"(%b)" % b" ".join(items)
