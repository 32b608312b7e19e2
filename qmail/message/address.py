"""Addresses as qmail sees them: bytes, cut at the last `@`; local parts may hold any octet. Pure.

Source: RFC 5321 4.1.2 for the quoted form; envelopes(5) and qmail's quote.c for when quoting is needed.
"""

from __future__ import annotations

import re

# Without the NUL that qmail-queue counts (its ADDR is 1003): what every entrance but SMTP takes. qmail-smtpd has 899.
MAX_ADDRESS_BYTES = 1002
# RFC 5321 4.1.2 Atom characters and the dot; anything else makes the local part a Quoted-string.
_PLAIN_LOCAL = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*\Z")
_ESCAPED = re.compile(rb'([\r\n"\\])')
_CONTROLS = bytes([*range(0x20), 0x7F])
_IN_A_LINE = bytes(ord("_") if (octet < 0x20 and octet != 9) or octet == 0x7F else octet for octet in range(256))


def split(address: bytes) -> tuple[bytes, bytes | None]:
    """Cut an address at its last `@`: (local part, domain), domain None where there is no `@`."""
    local, at, domain = address.rpartition(b"@")
    return (local, domain) if at else (address, None)


def has_controls(address: bytes) -> bool:
    """Whether it holds what no address may hold, quoted or not: a control character (RFC 5321 4.1.2)."""
    return len(address.translate(None, _CONTROLS)) != len(address)


def in_a_line(address: bytes) -> bytes:
    """An address for a line of a header or a text: as in qmail-local a newline becomes `_`, and so does every other
    control character but the tab, or what follows it could be taken for a line of its own."""
    return address.translate(_IN_A_LINE)


def is_plain(local: bytes) -> bool:
    """Whether a local part may stand unquoted in SMTP and in header fields."""
    if not local or local[:1] == b"." or local[-1:] == b"." or b".." in local:
        return False
    return _PLAIN_LOCAL.match(local) is not None


def quote(address: bytes) -> bytes:
    """The address with its local part as a Quoted-string where it needs to be one (qmail's quote2)."""
    if not address:
        return address
    local, domain = split(address)
    if not is_plain(local):
        local = b'"' + _ESCAPED.sub(rb"\\\1", local) + b'"'
    return local if domain is None else local + b"@" + domain
