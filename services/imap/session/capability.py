"""Capabilities, by what the connection is now (RFC 3501 section 6.1.1). One place to add an extension."""

from __future__ import annotations

from qmail.door.sasl import MECHANISMS

EXTENSIONS = (
    b"IMAP4rev1 UIDPLUS CHILDREN NAMESPACE IDLE LITERAL+ ID ENABLE UNSELECT MOVE MULTIAPPEND ESEARCH "
    b"LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE"
)


def capabilities(*, authenticated: bool, tls_offered: bool, plain_allowed: bool) -> bytes:
    """`tls_offered`: STARTTLS would work now; `plain_allowed`: passwords may be sent as things are."""
    if authenticated:
        return EXTENSIONS
    ways = b" SASL-IR" + b"".join(b" AUTH=" + one for one in MECHANISMS) if plain_allowed else b" LOGINDISABLED"
    return EXTENSIONS + (b" STARTTLS" if tls_offered else b"") + ways
