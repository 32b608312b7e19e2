"""SASL PLAIN's message (RFC 4616)."""

from __future__ import annotations

import base64
import binascii

MAX_NAME_BYTES = 255
MAX_PASSWORD_BYTES = 1024


def parse_plain(text: bytes) -> tuple[bytes, bytes] | None:
    """User and password of a base64 message; None where it is malformed or asks to act as somebody else."""
    try:
        fields = base64.b64decode(text, validate=True).split(b"\0")
    except (binascii.Error, ValueError):
        return None
    if len(fields) != 3:
        return None
    acting_as, user, password = fields
    if not user or acting_as not in (b"", user) or len(user) > MAX_NAME_BYTES or len(password) > MAX_PASSWORD_BYTES:
        return None
    return user, password
