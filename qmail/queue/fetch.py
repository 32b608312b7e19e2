"""Reading a message from the bus: its envelope, and its body whole or in chunks.

For the roles that may: the delivery programs and the bounce writer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from qmail.bus import subjects
from qmail.bus.ports import Bus, Stored
from qmail.message.envelope import Envelope, EnvelopeError, decode_envelope
from qmail.message.value import value
from qmail.queue.deliveries import RecordPosition
from qmail.queue.record_position import decode_header, header_of

Reader = Callable[[str, str], Awaitable[Stored | None]]


class MessageMissing(Exception):
    """Neither IN nor HOLD has the message, or BODY lacks a chunk."""


@value()
class Fetched:
    """A message: `body` is None where it lies in chunks; `header` is its envelope as the record has it."""

    envelope: Envelope
    body: bytes | None
    header: str


async def fetch(
    bus: Bus, message_id: int, *, held: bool, position: RecordPosition, read: Reader | None = None
) -> Fetched:
    """Read a message, first where it should be, then where it may have gone.

    `read(stream, subject)` reads a record, as Bus.last does. Raises MessageMissing, EnvelopeError and BusDown; all
    are temporary to the caller."""
    read = read or bus.last
    positions = [
        (subjects.IN, subjects.accepted(position.record), position.index, position.offset),
        (subjects.HOLD, subjects.hold(message_id), 0, 0),
    ]
    for stream, subject, index, offset in reversed(positions) if held else positions:
        stored = await read(stream, subject)
        if stored is not None:
            return await _take(bus, message_id, stored, index, offset)
    raise MessageMissing(f"message {message_id} is neither in IN nor in HOLD")


async def _take(bus: Bus, message_id: int, stored: Stored, index: int, offset: int) -> Fetched:
    header = header_of(stored, index)
    envelope = decode_header(header) or await _large_envelope(bus, message_id)
    if envelope.id != message_id:
        raise EnvelopeError(f"{stored.subject}: number {index} is message {envelope.id}, not {message_id}")
    if envelope.chunk_count:
        return Fetched(envelope, None, header)
    return Fetched(envelope, stored.payload[offset : offset + envelope.size_bytes], header)


async def _large_envelope(bus: Bus, message_id: int) -> Envelope:
    large = await bus.last(subjects.BODY, subjects.large_envelope(message_id))
    if large is None:
        raise MessageMissing(f"envelope of {message_id} is not in BODY")
    return decode_envelope(large.payload)


async def body_pieces(bus: Bus, fetched: Fetched) -> AsyncIterator[bytes]:
    """The body: whole where it is small, else its chunks in order, one in memory at a time.

    Raises MessageMissing, BusDown."""
    if fetched.body is not None:
        yield fetched.body
        return
    envelope = fetched.envelope
    for number in range(envelope.chunk_count):
        stored = await bus.last(subjects.BODY, subjects.body(envelope.id, number))
        if stored is None:
            raise MessageMissing(f"chunk {number} of {envelope.id} is not in BODY")
        yield stored.payload
