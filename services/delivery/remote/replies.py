"""Every text that a remote delivery reports, in qmail-remote's words (qmail-remote(8)). Pure.

A text begins with its letter: K success, Z deferral, D failure for the message; h and s for one recipient.
"""

from __future__ import annotations

# Text of the far host that a report keeps, in bytes (qmail-remote's HUGESMTPTEXT).
MAX_REMOTE_TEXT_BYTES = 5000

RECIPIENT_ACCEPTED = b"r"
NO_CONNECTION = b"ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"
MESSAGE_UNREADABLE = b"ZUnable to read message. (#4.3.0)\n"
CNAME_LOOKUP_FAILED = b"ZCNAME lookup failed temporarily. (#4.4.3)\n"
DNS_FAILED = b"ZSorry, I couldn't find any host by that name. (#4.1.2)\n"
CONTROL_UNREADABLE = b"ZUnable to read control files. (#4.3.0)\n"
PARTIAL_LINE = b"DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n"
USAGE = b"DI (qmail-remote) was invoked improperly. (#5.3.5)\n"
NO_EXCHANGER = b"DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n"
NULL_MX = b"DSorry, that domain says by its null MX that it accepts no mail. (#5.1.10)\n"
BEST_PREFERENCE = (
    b"DSorry. Although I'm listed as a best-preference MX or A for that host,\n"
    b"it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n"
)
ROUTE_NOT_UNDERSTOOD = (
    b"ZSorry, control/smtproutes has something after the port that I don't understand,\n"
    b"and I won't send without it. (#4.3.5)\n"
)
NO_PASSWORD = (
    b"ZSorry, control/smtproutes has a user whose password I don't have:\nqmailctl routepasswd sets it. (#4.7.0)\n"
)
NO_QMQP_SERVER = b"ZSorry, none of the QMQP servers in control/qmqpservers took the message. (#4.4.1)\n"
NO_HOST_NAME = b"DSorry, address must include host name. (#5.1.3)\n"
UNSPEAKABLE = b"DSorry, SMTP cannot carry an address with control characters in it. (#5.1.3)\n"
BROKEN_OFF = b"ZI was told to end before the message was sent; it will be sent later. (#4.3.2)\n"
CRASHED = b"Zqmail-remote crashed.\n"
NO_OUTPUT = b"Zqmail-remote produced no output.\n"


def no_such_host(host: bytes) -> bytes:
    """The name does not exist; bytes outside printable ASCII are shown as `?`."""
    shown = bytes(byte if 33 <= byte <= 126 else ord("?") for byte in host)
    return b"DSorry, I couldn't find any host named " + shown + b". (#5.1.2)\n"


def dropped(address: bytes, *, critical: bool) -> bytes:
    """The connection ended by itself; critical: after the final dot, so the far host may have the message."""
    duplicate = b"Possible duplicate! " if critical else b""
    return b"ZConnected to " + address + b" but connection died. " + duplicate + b"(#4.4.2)\n"


def endless_reply(address: bytes, *, critical: bool) -> bytes:
    """The far host's reply has no end in sight."""
    duplicate = b"Possible duplicate! " if critical else b""
    return b"ZConnected to " + address + b" but its reply was too long. " + duplicate + b"(#4.5.0)\n"


def too_large(address: bytes, limit_bytes: int) -> bytes:
    """The far host announced a limit (RFC 1870) that the message exceeds."""
    return b"DConnected to " + address + b" but it takes at most %d bytes. (#5.3.4)\n" % limit_bytes


def no_tls(address: bytes) -> bytes:
    """The route demands TLS."""
    return b"ZConnected to " + address + b" but it offers no TLS, which I need there. (#4.7.4)\n"


def tls_failed(address: bytes, why: str) -> bytes:
    """The same, and the handshake failed: a certificate that is not the host's, first of all."""
    return b"ZConnected to " + address + b" but TLS failed: " + why.encode("ascii", "replace") + b". (#4.7.5)\n"


def no_mechanism(address: bytes) -> bytes:
    """The route has a log-in."""
    return b"ZConnected to " + address + b" but it offers no log-in that I know. (#4.7.0)\n"


def needs_smtputf8(address: bytes) -> bytes:
    """An address or header outside ASCII, and a far host without SMTPUTF8 (RFC 6531 3.2)."""
    return b"DConnected to " + address + b" but it does not support internationalized mail. (#5.6.7)\n"


def remote_said(text: bytes) -> bytes:
    """The far host's own words, where there are any."""
    return b"Remote host said: " + text.replace(b"\0", b"?") if text else b""


def closing(prepend: bytes, address: bytes, append: bytes, text: bytes) -> bytes:
    """qmail-remote's last sentence about the message, with the far host's words."""
    return prepend + address + append + b".\n" + remote_said(text)


def recipient_refused(letter: bytes, address: bytes, text: bytes) -> bytes:
    """One recipient was refused: h for good, s for now."""
    return closing(letter, address, b" does not like recipient", text)
