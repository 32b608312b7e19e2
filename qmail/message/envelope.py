"""A message besides its body: the draft that a role submits, and the envelope, version 1, that the queue makes of it.

On the bus it is one JSON object whose strings are the latin-1 reading of bytes, so that every octet of an
8-bit local part survives and the record stays legible. docs/formats.md has the fields, tests/golden a record. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qmail.message.address import Address
from qmail.message.dates import date822
from qmail.message.value import value

VERSION = 1
# The largest envelope at all, and the most recipients: with what becomes of each of them it must fit one record of the
# scheduler's, which the server bounds at 1 MB.
MAX_ENVELOPE_BYTES = 250_000
MAX_RECIPIENTS = 5000
# What of an envelope recipients may take: the rest is for the sender and our own header lines.
MAX_RECIPIENTS_BYTES = MAX_ENVELOPE_BYTES - 20_000
_NUMBERS = ("id", "time", "uid", "size", "hold", "chunks")


class EnvelopeError(ValueError):
    """The record is not an envelope that this version understands."""


@value()
class Recipient:
    """One forward-path, numbered by its place in the envelope; NOTIFY and ORCPT as in RFC 3461 4.1, 4.2."""

    address: Address
    notify: str = ""
    orcpt: bytes = b""


@value()
class MailParameters:
    """What MAIL says besides the sender, the same value from smtpd to the far host: BODY (RFC 6152) and SMTPUTF8
    (RFC 6531) of the text; RET and ENVID (RFC 3461 4.3, 4.4) and HOLDUNTIL (RFC 4865, in milliseconds since the epoch)
    of its delivery."""

    body_type: str = "7BIT"
    smtputf8: bool = False
    ret: str = ""
    envid: bytes = b""
    hold_until_ms: int = 0

    @property
    def eight_bit(self) -> bool:
        """BODY=8BITMIME."""
        return self.body_type == "8BITMIME"

    def of_the_text(self) -> MailParameters:
        """Those that another message with the same text has too: a forward, a bounce."""
        return MailParameters(self.body_type, self.smtputf8)


NO_PARAMETERS = MailParameters()


@value(kw_only=True)
class Origin:
    """Who submitted a message: the uid and the role that took it in, and the client where it came by a network."""

    uid: int
    role: str
    remote_ip: str = ""
    remote_host: str = ""
    helo: bytes = b""
    account: bytes = b""


@value(kw_only=True)
class Draft:
    """What is submitted, but for the body; `prefix` is what the role writes in front of that."""

    origin: Origin
    sender: Address
    recipients: tuple[Recipient, ...]
    parameters: MailParameters = NO_PARAMETERS
    prefix: bytes = b""


@value(kw_only=True)
class Envelope(Draft):
    """Everything about an accepted message but its body.

    `time_ms` is when it was accepted, in milliseconds since the epoch; `size_bytes` counts the body as stored (LF line
    ends) without `prefix`, which begins with qmail-queue's own Received line here; `chunk_count` is 0 where the body is
    the payload of the envelope's own record, else the number of `body.<id>.<n>` records."""

    id: int
    time_ms: int
    size_bytes: int
    chunk_count: int


def complete(
    draft: Draft, invoked: bytes, *, message_id: int, size_bytes: int, chunk_count: int, now: float
) -> Envelope:
    """The envelope of a draft, with qmail-queue's own Received line in front.

    `invoked` is that line's word of who called: `from network`, `by uid 2002`."""
    received = b"Received: (qmail %d invoked %s); %s\n" % (message_id, invoked, date822(now))
    return Envelope(
        id=message_id,
        time_ms=int(now * 1000),
        size_bytes=size_bytes,
        chunk_count=chunk_count,
        origin=draft.origin,
        sender=draft.sender,
        recipients=draft.recipients,
        parameters=draft.parameters,
        prefix=received + draft.prefix,
    )


def encode_envelope(e: Envelope) -> bytes:
    """The record's bytes (ASCII, no line ends)."""
    origin, parameters = e.origin, e.parameters
    fields = {
        "v": VERSION,
        "id": e.id,
        "time": e.time_ms,
        "uid": origin.uid,
        "role": origin.role,
        "ip": origin.remote_ip,
        "host": origin.remote_host,
        "helo": origin.helo.decode("latin-1"),
        "account": origin.account.decode("latin-1"),
        "size": e.size_bytes,
        "type": parameters.body_type,
        "utf8": parameters.smtputf8,
        "from": e.sender.raw.decode("latin-1"),
        "ret": parameters.ret,
        "envid": parameters.envid.decode("latin-1"),
        "hold": parameters.hold_until_ms,
        "prefix": e.prefix.decode("latin-1"),
        "chunks": e.chunk_count,
        "to": [[r.address.raw.decode("latin-1"), r.notify, r.orcpt.decode("latin-1")] for r in e.recipients],
    }
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def decode_envelope(record: bytes) -> Envelope:
    """The envelope of a record. Raises EnvelopeError for anything else, a later version included."""
    try:
        # json.loads would look for UTF-16 first: 1.3 us.
        f = json.loads(str(record, "ascii"))
        if f["v"] != VERSION:
            raise EnvelopeError(f"envelope version {f['v']}; expected {VERSION}")
        if not all(type(f[name]) is int for name in _NUMBERS):
            raise EnvelopeError(f"expected numbers as {', '.join(_NUMBERS)}")
        return Envelope(
            id=f["id"],
            time_ms=f["time"],
            size_bytes=f["size"],
            chunk_count=f["chunks"],
            origin=_origin(f),
            sender=_address(f["from"]),
            recipients=tuple([Recipient(_address(a), n, o.encode("latin-1")) for a, n, o in f["to"]]),
            parameters=MailParameters(f["type"], f["utf8"], f["ret"], f["envid"].encode("latin-1"), f["hold"]),
            prefix=f["prefix"].encode("latin-1"),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, EnvelopeError):
            raise
        raise EnvelopeError(f"not an envelope: {error}") from error


def _address(text: str) -> Address:
    return Address(text.encode("latin-1"))


def _origin(f: Mapping[str, Any]) -> Origin:
    return Origin(
        uid=f["uid"],
        role=f["role"],
        remote_ip=f["ip"],
        remote_host=f["host"],
        helo=f["helo"].encode("latin-1"),
        account=f["account"].encode("latin-1"),
    )


def recipient_bytes(address: Address) -> int:
    """At most so many bytes of an envelope does a recipient take."""
    return 12 + len(address.raw) * (1 if address.raw.isascii() else 6)
