"""The envelope of a message, version 1: what the roles must know of it besides its body.

On the bus it is one JSON object whose strings are the latin-1 reading of bytes, so that every octet of an
8-bit local part survives and the record stays legible. docs/formats.md has the fields, tests/golden a record.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

VERSION = 1
_NUMBERS = ("id", "time", "uid", "size", "hold", "chunks")


class EnvelopeError(ValueError):
    """The record is not an envelope that this version understands."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One forward-path, numbered by its place in the envelope; NOTIFY and ORCPT as in RFC 3461 4.1, 4.2."""

    address: bytes
    notify: str = ""
    orcpt: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Everything about an accepted message but its body.

    `time_ms` and `hold_until_ms` are milliseconds since the epoch; `size_bytes` counts the body as stored (LF
    line ends) without `prefix`; `prefix` is what we prepended; `chunk_count` is 0 where the body is the payload
    of the envelope's own record, else the number of `body.<id>.<n>` records."""

    id: int
    time_ms: int
    uid: int
    role: str
    remote_ip: str
    remote_host: str
    helo: bytes
    account: bytes
    size_bytes: int
    body_type: str
    smtputf8: bool
    sender: bytes
    ret: str
    envid: bytes
    hold_until_ms: int
    prefix: bytes
    chunk_count: int
    recipients: tuple[Recipient, ...]


def encode_envelope(e: Envelope) -> bytes:
    """The record's bytes (ASCII, no line ends)."""
    fields = {
        "v": VERSION,
        "id": e.id,
        "time": e.time_ms,
        "uid": e.uid,
        "role": e.role,
        "ip": e.remote_ip,
        "host": e.remote_host,
        "helo": e.helo.decode("latin-1"),
        "account": e.account.decode("latin-1"),
        "size": e.size_bytes,
        "type": e.body_type,
        "utf8": e.smtputf8,
        "from": e.sender.decode("latin-1"),
        "ret": e.ret,
        "envid": e.envid.decode("latin-1"),
        "hold": e.hold_until_ms,
        "prefix": e.prefix.decode("latin-1"),
        "chunks": e.chunk_count,
        "to": [[r.address.decode("latin-1"), r.notify, r.orcpt.decode("latin-1")] for r in e.recipients],
    }
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def decode_envelope(record: bytes) -> Envelope:
    """The envelope of a record. Raises EnvelopeError for anything else, a later version included."""
    try:
        f = json.loads(record)
        if f["v"] != VERSION:
            raise EnvelopeError(f"envelope version {f['v']}; expected {VERSION}")
        if not all(type(f[name]) is int for name in _NUMBERS):
            raise EnvelopeError(f"expected numbers as {', '.join(_NUMBERS)}")
        return Envelope(
            id=f["id"],
            time_ms=f["time"],
            uid=f["uid"],
            role=f["role"],
            remote_ip=f["ip"],
            remote_host=f["host"],
            helo=f["helo"].encode("latin-1"),
            account=f["account"].encode("latin-1"),
            size_bytes=f["size"],
            body_type=f["type"],
            smtputf8=f["utf8"],
            sender=f["from"].encode("latin-1"),
            ret=f["ret"],
            envid=f["envid"].encode("latin-1"),
            hold_until_ms=f["hold"],
            prefix=f["prefix"].encode("latin-1"),
            chunk_count=f["chunks"],
            recipients=tuple(Recipient(a.encode("latin-1"), n, o.encode("latin-1")) for a, n, o in f["to"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, EnvelopeError):
            raise
        raise EnvelopeError(f"not an envelope: {error}") from error
