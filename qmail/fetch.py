"""Reading a message from the bus: its envelope, and its body whole or in chunks.

For the roles that may: the delivery programs and the bounce writer.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass

from qmail.bus import subjects
from qmail.bus.ports import Bus, Stored
from qmail.envelope import Envelope, EnvelopeError, decode_envelope


class MessageMissing(Exception):
    """Neither IN nor HOLD has the message, or BODY lacks a chunk."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A message: `body` is None where it lies in chunks; `record` is what IN or HOLD has of it."""

    envelope: Envelope
    body: bytes | None
    record: Stored


async def fetch(bus: Bus, message_id: int, held: bool) -> Fetched:
    """Read a message, first where it should be, then where it may have gone.

    Raises MessageMissing, EnvelopeError and BusDown; all are temporary to the caller."""
    places = [(subjects.IN, subjects.accepted(message_id)), (subjects.HOLD, subjects.hold(message_id))]
    for stream, subject in reversed(places) if held else places:
        stored = await bus.last(stream, subject)
        if stored is not None:
            envelope = await _envelope(bus, message_id, stored)
            return Fetched(envelope, None if envelope.chunk_count else stored.payload, stored)
    raise MessageMissing(f"message {message_id} is neither in IN nor in HOLD")


async def _envelope(bus: Bus, message_id: int, stored: Stored) -> Envelope:
    header = stored.headers.get(subjects.ENVELOPE_HEADER, "")
    if header != subjects.ELSEWHERE:
        try:
            return decode_envelope(base64.b64decode(header))
        except ValueError as error:
            raise EnvelopeError(f"{stored.subject}: {error}") from error
    large = await bus.last(subjects.BODY, subjects.large_envelope(message_id))
    if large is None:
        raise MessageMissing(f"envelope of {message_id} is not in BODY")
    return decode_envelope(large.payload)


async def chunks(bus: Bus, envelope: Envelope) -> AsyncIterator[bytes]:
    """The chunks of a large body, in order, one in memory at a time. Raises MessageMissing, BusDown."""
    for number in range(envelope.chunk_count):
        stored = await bus.last(subjects.BODY, subjects.body(envelope.id, number))
        if stored is None:
            raise MessageMissing(f"chunk {number} of {envelope.id} is not in BODY")
        yield stored.payload
