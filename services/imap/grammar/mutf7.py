"""Modified UTF-7, the form of mailbox names on the wire (RFC 3501 section 5.1.3)."""

from __future__ import annotations

import base64
import binascii
import re

_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_DIRECT = re.compile(rb"[\x20-\x7e]*\Z")


def decode(name: bytes) -> str | None:
    """The text of a name; None where it is not modified UTF-7."""
    if _DIRECT.match(name) is None:
        return None
    pieces: list[str] = []
    position = 0
    for found in _SHIFTED.finditer(name):
        plain = name[position : found.start()]
        text = _decode_shifted(found[1])
        if b"&" in plain or text is None:
            return None
        pieces += (plain.decode("ascii"), text)
        position = found.end()
    if b"&" in name[position:]:
        return None
    return "".join(pieces) + name[position:].decode("ascii")


def _decode_shifted(text: bytes) -> str | None:
    if not text:
        return "&"
    padded = text.replace(b",", b"/") + b"=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, validate=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return None


def encode(text: str) -> bytes:
    """The name of a text on the wire; lone surrogates (undecodable octets on disk) become U+FFFD."""
    return b"".join(
        run.replace("&", "&-").encode("ascii") if run[0].isascii() and run.isprintable() else _encode_shifted(run)
        for run in re.findall(r"[\x20-\x7e]+|[^\x20-\x7e]+", text)
    )


def _encode_shifted(run: str) -> bytes:
    octets = run.encode("utf-16-be", "surrogatepass")
    octets = octets.decode("utf-16-be", "replace").encode("utf-16-be")
    return b"&" + base64.b64encode(octets).rstrip(b"=").replace(b"/", b",") + b"-"
