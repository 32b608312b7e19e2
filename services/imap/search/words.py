"""Encoded words in header fields (RFC 2047)."""

from __future__ import annotations

import binascii
import re

from services.imap.message.header import unfold
from services.imap.search.charset import decode

_WORD = re.compile(rb"=\?([^\s?*]{1,60})(?:\*[^\s?]{0,60})?\?([BbQq])\?([^?\r\n]*)\?=")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


def decoded(value: bytes) -> str:
    """A field value as text, unfolded. Nothing is raised."""
    value = unfold(value)
    if b"=?" not in value:
        return decode(value)
    out: list[str] = []
    at = 0
    pending: tuple[str, bytes] | None = None  # words of one charset may share a character
    for word in _WORD.finditer(value):
        between = value[at : word.start()]
        charset = word[1].decode("latin-1").lower()
        octets = _octets(word[2], word[3])
        if pending and not between.strip(b" ") and pending[0] == charset:
            pending = (charset, pending[1] + octets)
        else:
            out.append(decode(pending[1], pending[0]) if pending else "")
            if not pending or between.strip(b" "):
                out.append(decode(between))
            pending = (charset, octets)
        at = word.end()
    if pending:
        out.append(decode(pending[1], pending[0]))
    out.append(decode(value[at:]))
    return "".join(out)


def _octets(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"qQ":
        return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text.replace(b"_", b" "))
    return unbase64(_NOT_BASE64.sub(b"", text))


def unbase64(letters: bytes) -> bytes:
    """Decodes base64 letters without padding; a single letter left over is dropped."""
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
