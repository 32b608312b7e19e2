"""Capabilities, by what the connection is now (RFC 3501 section 6.1.1)."""

from __future__ import annotations

from qmail.door.sasl import MECHANISMS
from services.imap.session.command import Commands

#: What belongs to no command.
PROTOCOL = (b"IMAP4rev1", b"LITERAL+")


def extensions(commands: Commands) -> bytes:
    """What is offered in every state."""
    return b" ".join((*PROTOCOL, *(command.capability for command in commands.values() if command.capability)))


def log_in(*, tls_offered: bool, plain_allowed: bool) -> bytes:
    """What is offered before log-in alone. `tls_offered`: STARTTLS would work now; `plain_allowed`: passwords may be
    sent as things are."""
    mechanisms = b" SASL-IR" + b"".join(b" AUTH=" + one for one in MECHANISMS)
    return (b" STARTTLS" if tls_offered else b"") + (mechanisms if plain_allowed else b" LOGINDISABLED")
