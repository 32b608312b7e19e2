"""ENVELOPE (RFC 3501 7.4.2)."""

from __future__ import annotations

from services.imap.message.address import Address, parse_addresses
from services.imap.message.header import Field, last, unfold
from services.imap.message.parse import Message
from services.imap.message.render import NIL, group, nstring


def envelope(message: Message) -> bytes:
    """The ENVELOPE of a message in wire form."""
    return header_envelope(message.root.header)


def header_envelope(header: list[Field]) -> bytes:
    """The ENVELOPE made of a header."""
    sender = _addresses(header, b"from")
    return group(
        (
            _text(header, b"date"),
            _text(header, b"subject"),
            sender,
            _or(_addresses(header, b"sender"), sender),
            _or(_addresses(header, b"reply-to"), sender),
            _addresses(header, b"to"),
            _addresses(header, b"cc"),
            _addresses(header, b"bcc"),
            _text(header, b"in-reply-to"),
            _text(header, b"message-id"),
        )
    )


def _text(header: list[Field], name: bytes) -> bytes:
    """The last of several fields, as the recorded server has it."""
    value = last(header, name)
    return nstring(None if value is None else unfold(value))


def _addresses(header: list[Field], name: bytes) -> bytes:
    """Of several fields all addresses count."""
    found = [address for field in header if field.name == name for address in parse_addresses(field.value)]
    return b"(%b)" % b"".join(map(_address, found)) if found else NIL


def _address(address: Address) -> bytes:
    return group(map(nstring, address))


def _or(value: bytes, default: bytes) -> bytes:
    return default if value == NIL else value
