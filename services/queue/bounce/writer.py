"""The bounce writer: the only part of the queue role that reads bodies, with a bus user of its own.

It puts bounces under the number that the scheduler chose, so asking twice makes one; and it copies messages
that wait to HOLD, so that the scheduler need not see them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from qmail.bus import subjects
from qmail.bus.ports import AlreadyStored, Bus, Message, Record, TemporaryError
from qmail.control import Control, ControlError
from qmail.envelope import EnvelopeError, Recipient, decode_envelope, encode_envelope
from qmail.fetch import Fetched, MessageMissing, chunks, fetch
from qmail.place import Place
from qmail.put import CHUNK_BYTES, Draft, complete
from services.queue.bounce.text import Bounce, make_bounce, read_names

AT_ONCE = 8
# In the place of a body that is gone.
LOST = b"\n(The message itself is lost.)\n"


class BounceWriter:
    """Answers `bounce` and `keep`; every answer says `ok`, or why not (then the scheduler asks again)."""

    def __init__(self, bus: Bus, control: Control, uid: int, clock: Callable[[], float] = time.time) -> None:
        self._bus, self._control, self._uid, self._clock = bus, control, uid, clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises BusDown."""
        await self._bus.subscribe(subjects.BOUNCE, self._take, subjects.WORKERS)
        await self._bus.subscribe(subjects.KEEP, self._take, subjects.WORKERS)

    def _take(self, message: Message) -> None:
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Message) -> None:
        async with self._slots:
            try:
                if message.subject == subjects.KEEP:
                    answer = await self._keep(json.loads(message.payload))
                else:
                    answer = await self._bounce(json.loads(message.payload))
            except MessageMissing as error:
                answer = {"ok": False, "missing": True, "error": str(error)}
            except (
                TemporaryError,
                EnvelopeError,
                ControlError,
                ValueError,
                KeyError,
                TypeError,
            ) as error:
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        self._bus.publish(message.reply, json.dumps(answer).encode())

    async def _keep(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Copy a message to HOLD; without a place, the record of that number as it is, which nobody can read."""
        message_id = int(request["id"])
        if request["place"] is None:
            header, payload = await self._raw(message_id)
        else:
            fetched = await fetch(self._bus, message_id, False, Place(*request["place"]))
            header, payload = {subjects.ENVELOPE_HEADER: fetched.header}, fetched.body or b""
        await self._store(Record(subjects.hold(message_id), payload, header))
        return {"ok": True}

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

    async def _bounce(self, request: Mapping[str, Any]) -> dict[str, object]:
        if "envelope" in request:
            fetched = Fetched(decode_envelope(str(request["envelope"]).encode("ascii")), LOST, "")
        else:
            fetched = await fetch(self._bus, int(request["id"]), bool(request["held"]), Place(*request["place"]))
        report = str(request["text"]).encode("latin-1")
        bounce = make_bounce(fetched.envelope.sender, report, read_names(self._control), self._clock())
        if bounce is None:
            return {"ok": True, "discarded": True}
        await self._put(bounce, fetched, int(str(request["bounce_id"])))
        return {"ok": True}

    async def _put(self, bounce: Bounce, original: Fetched, bounce_id: int) -> None:
        head = bounce.text + original.envelope.prefix
        draft = Draft(
            sender=bounce.sender,
            recipients=(Recipient(bounce.recipient),),
            uid=self._uid,
            role="queue",
            invoked=b"for bounce",
            body_type=original.envelope.body_type,
            smtputf8=original.envelope.smtputf8,
        )
        body, size, count = b"", 0, 0
        if original.body is not None and len(head) + len(original.body) <= CHUNK_BYTES:
            body = head + original.body
            size = len(body)
        else:
            size, count = await self._put_chunks(head, original, bounce_id)
        envelope = complete(draft, bounce_id, size, count, self._clock())
        header = base64.b64encode(encode_envelope(envelope)).decode("ascii")
        await self._store(Record(subjects.accepted(bounce_id), body, {subjects.ENVELOPE_HEADER: header}))

    async def _put_chunks(self, head: bytes, original: Fetched, bounce_id: int) -> tuple[int, int]:
        """Store head and body in chunks; their bytes and number. A repeated request finds them stored."""
        pending, size, count = bytearray(head), 0, 0

        async def flush(at_least: int) -> None:
            nonlocal size, count
            while len(pending) > at_least:
                chunk = bytes(pending[:CHUNK_BYTES])
                await self._store(Record(subjects.body(bounce_id, count), chunk))
                del pending[:CHUNK_BYTES]
                size, count = size + len(chunk), count + 1

        if original.body is not None:
            pending += original.body
        else:
            async for chunk in chunks(self._bus, original.envelope):
                pending += chunk
                await flush(CHUNK_BYTES)
        await flush(0)
        return size, count
