"""The bounce writer: the only part of the queue role that reads bodies, with a bus user of its own.

It puts bounces under the number that the scheduler chose, so asking twice makes one; and it copies messages
that wait to HOLD, so that the scheduler need not see them.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from qmail.bus import subjects
from qmail.bus.ports import AlreadyStored, Bus, Record, TemporaryError
from qmail.control.files import Control, ControlError
from qmail.control.table import BOUNCEMAXBYTES
from qmail.message.envelope import (
    Draft,
    EnvelopeError,
    Origin,
    Recipient,
    complete,
    encode_envelope,
)
from qmail.queue.fetch import Fetched, MessageMissing, body_pieces, fetch
from qmail.queue.put import CHUNK_BYTES
from services.queue.bounce import talk
from services.queue.bounce.copy import Copy, Octets
from services.queue.bounce.talk import Answer, BounceRequest, CopyRequest, Request
from services.queue.bounce.text import make_bounce, read_names

AT_ONCE = 8
# In the place of a body that is gone.
LOST = b"\n(The message itself is lost.)\n"


class BounceWriter:
    """Puts bounces and copies messages to HOLD, as the scheduler asks for it."""

    def __init__(self, bus: Bus, control: Control, uid: int, clock: Callable[[], float] = time.time) -> None:
        self._bus, self._control, self._uid, self._clock = bus, control, uid, clock
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def start(self) -> None:
        """Listen. Raises BusDown."""
        await talk.answer(self._bus, partial(self._tried, self._bounce), partial(self._tried, self._copy))

    async def _tried(self, work: Callable[[Request], Awaitable[Answer]], request: Request) -> Answer:
        async with self._slots:
            try:
                return await work(request)
            except MessageMissing as error:
                return Answer(ok=False, missing=True, error=str(error))
            except (TemporaryError, EnvelopeError, ControlError, ValueError, KeyError, TypeError) as error:
                return Answer(ok=False, error=f"{type(error).__name__}: {error}")

    async def _copy(self, request: CopyRequest) -> Answer:
        """Copy a message to HOLD; without a place, the record of that number as it is, which nobody can read."""
        if request.position is None:
            header, payload = await self._raw(request.id)
        else:
            fetched = await fetch(self._bus, request.id, held=False, position=request.position)
            header, payload = {subjects.ENVELOPE_HEADER: fetched.header}, fetched.body or b""
        await self._store(Record(subjects.hold(request.id), payload, header))
        return Answer(ok=True)

    async def _raw(self, record: int) -> tuple[dict[str, str], bytes]:
        stored = await self._bus.last(subjects.IN, subjects.accepted(record))
        if stored is None:
            raise MessageMissing(f"record {record} is not in IN")
        header = {name: text for name, text in stored.headers.items() if name == subjects.ENVELOPE_HEADER}
        return header, stored.payload

    async def _store(self, record: Record) -> None:
        try:
            await self._bus.store(record)
        except AlreadyStored:
            return  # an earlier request did it, and its answer was lost

    async def _bounce(self, request: BounceRequest) -> Answer:
        if request.envelope is not None:
            fetched = Fetched(request.envelope, LOST, "")
        else:
            fetched = await fetch(self._bus, request.id, held=request.held, position=request.position)
        report = request.paragraphs
        copied = partial(self._copied, fetched, self._control.get(BOUNCEMAXBYTES))
        charset = await self._charset(report, copied())
        bounce = make_bounce(fetched.envelope.sender, report, read_names(self._control), self._clock(), charset)
        if bounce is None:
            return Answer(ok=True, discarded=True)
        parameters = fetched.envelope.parameters.of_the_text()
        draft = Draft(
            origin=Origin(uid=self._uid, role="queue"),
            sender=bounce.sender,
            recipients=(Recipient(bounce.recipient),),
            parameters=replace(parameters, body_type="8BITMIME") if charset else parameters,
        )
        await self._put(draft, bounce.text, copied(), request.bounce_id)
        return Answer(ok=True)

    async def _copied(self, original: Fetched, max_bytes: int) -> AsyncIterator[bytes]:
        """The copy of the message, in pieces."""
        copy = Copy(max_bytes)
        async with aclosing(self._pieces(original)) as pieces:
            async for piece in pieces:
                yield copy.take(piece)
                if copy.full:
                    break
        yield copy.end()

    async def _pieces(self, original: Fetched) -> AsyncGenerator[bytes, None]:
        yield original.envelope.prefix
        async for piece in body_pieces(self._bus, original):
            yield piece

    async def _charset(self, report: bytes, copied: AsyncIterator[bytes]) -> bytes | None:
        """Of what the bounce will hold; qmail 1.03 says nothing of it."""
        if self._control.exact():
            return None
        octets = Octets()
        octets.take(report)
        async for piece in copied:
            octets.take(piece)
        return octets.charset

    async def _put(self, draft: Draft, head: bytes, copied: AsyncIterator[bytes], bounce_id: int) -> None:
        """Store the bounce: in chunks where it is large, which a repeated request finds stored."""
        pending, size, count = bytearray(head), len(head), 0

        async def flush(at_least: int) -> None:
            nonlocal count
            while len(pending) > at_least:
                await self._store(Record(subjects.body(bounce_id, count), bytes(pending[:CHUNK_BYTES])))
                del pending[:CHUNK_BYTES]
                count += 1

        async for piece in copied:
            pending += piece
            size += len(piece)
            await flush(CHUNK_BYTES)
        if count:
            await flush(0)
        envelope = complete(
            draft, b"for bounce", message_id=bounce_id, size_bytes=size, chunk_count=count, now=self._clock()
        )
        header = base64.b64encode(encode_envelope(envelope)).decode("ascii")
        await self._store(Record(subjects.accepted(bounce_id), bytes(pending), {subjects.ENVELOPE_HEADER: header}))
