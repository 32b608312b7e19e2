"""The Received line of qmail-smtpd (received.c). Pure."""

from __future__ import annotations

import re

from services.smtpd.facts import Client

_UNSAFE = re.compile(rb"[^A-Za-z0-9.@%+/=:-]")


def _safe(text: bytes) -> bytes:
    return _UNSAFE.sub(b"?", text)


def protocol_name(*, extended: bool, tls: bool, authenticated: bool) -> bytes:
    """RFC 3848: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA."""
    if not extended:
        return b"SMTP"
    return b"ESMTP" + (b"S" if tls else b"") + (b"A" if authenticated else b"")


def render_received_head(client: Client, helo: bytes | None, protocol: bytes) -> bytes:
    """The line without its date and end, the same for every message of a session.

    `helo` None: nothing was said, or nothing that differs from the client's name.
    """
    return b"Received: from %s%s (%s%s)\n  by %s with %s; " % (
        _safe(client.remote_host),
        b"" if helo is None else b" (HELO " + _safe(helo) + b")",
        b"" if client.remote_info is None else _safe(client.remote_info) + b"@",
        _safe(client.remote_ip),
        _safe(client.local),
        protocol,
    )
