"""Messages that a test submits."""

from __future__ import annotations

from qmail.message.address import Address
from qmail.message.envelope import Draft, Origin, Recipient

INVOKED = b"from network"
# A client of smtpd that nothing is known of.
ORIGIN = Origin(uid=901, role="smtpd")


def make_draft(
    *recipients: bytes, sender: bytes = b"ari@xeris.com", uid: int = 901, role: str = "smtpd", prefix: bytes = b""
) -> Draft:
    """What smtpd would submit for one client."""
    return Draft(
        origin=Origin(uid=uid, role=role),
        sender=Address(sender),
        recipients=tuple(Recipient(Address(recipient)) for recipient in recipients),
        prefix=prefix,
    )
