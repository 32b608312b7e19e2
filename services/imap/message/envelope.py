"""ENVELOPE (RFC 3501 7.4.2)."""

from __future__ import annotations

from functools import lru_cache

from services.imap.message.address import Address, parse_addresses
from services.imap.message.header import Field, unfold
from services.imap.message.parse import Message
from services.imap.message.render import NIL, group, nstring, string

_SHOWN = frozenset(
    (b"date", b"subject", b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"in-reply-to", b"message-id")
)
#: Addresses that most messages have, in fields up to so many octets, are read once.
_COMMON_BYTES = 200


def envelope(message: Message) -> bytes:
    """The ENVELOPE of a message in wire form."""
    return header_envelope(message.root.header)


def header_envelope(header: list[Field]) -> bytes:
    """The ENVELOPE made of a header."""
    fields: dict[bytes, list[Field]] = {}
    for field in header:
        if field.name in _SHOWN:
            fields.setdefault(field.name, []).append(field)
    sender = _addresses(fields, b"from")
    return group(
        (
            _text(fields, b"date"),
            _text(fields, b"subject"),
            sender,
            _or(_addresses(fields, b"sender"), sender),
            _or(_addresses(fields, b"reply-to"), sender),
            _addresses(fields, b"to"),
            _addresses(fields, b"cc"),
            _addresses(fields, b"bcc"),
            _text(fields, b"in-reply-to"),
            _text(fields, b"message-id"),
        )
    )


def _text(fields: dict[bytes, list[Field]], name: bytes) -> bytes:
    """The last of several fields, as the recorded server has it."""
    return string(unfold(fields[name][-1].value)) if name in fields else NIL


def _addresses(fields: dict[bytes, list[Field]], name: bytes) -> bytes:
    """Of several fields all addresses count."""
    found = b"".join(_common(f.value) if len(f.raw) <= _COMMON_BYTES else _value(f.value) for f in fields.get(name, ()))
    return b"(%b)" % found if found else NIL


def _value(value: bytes) -> bytes:
    return b"".join(map(_address, parse_addresses(value)))


_common = lru_cache(maxsize=1000)(_value)


def _address(address: Address) -> bytes:
    name, route, mailbox, host = address
    return b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(mailbox), nstring(host))


def _or(value: bytes, default: bytes) -> bytes:
    return default if value == NIL else value
