"""Putting a message on the bus: what qmail-queue(8) does with its todo directory, done with streams.

The body goes first (in chunks where it is large), then the one record of IN that commits: what has no such record
does not exist, what has one is never lost. Small messages that are accepted at the same time share a record.

Why: docs/decisions/0005-waiting-for-company.md.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from qmail.bus import subjects
from qmail.bus.ports import Bus, BusDown, DiskFull, QueueFull, Record, TemporaryError
from qmail.bus.talk import abort
from qmail.message.envelope import MAX_ENVELOPE_BYTES, MAX_RECIPIENTS, Draft, Envelope, complete, encode_envelope
from qmail.message.ids import IdSource, NoNumbers
from qmail.message.value import value
from qmail.queue.record_position import SEPARATOR

# Bodies up to here ride in the envelope's record; larger ones go in chunks of this size.
CHUNK_BYTES = 512 * 1024
# Base64 of an envelope up to here rides in a header (the server refuses headers above 64 kB).
MAX_HEADER_BYTES = 48 * 1024
# How old the knowledge may be that the streams have room.
ROOM_SECONDS = 5.0
# Room that must be left for a new message to be begun.
ROOM_BYTES = 1024 * 1024


class EnvelopeTooLarge(Exception):
    """The envelope does not fit a record: too many or too long recipients, permanent for this message."""


class GivenUp(TemporaryError, TimeoutError):
    """The body came so slowly that what was stored of it may be gone."""


def _boottime() -> float:
    """Seconds by a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@value()
class Prepared:
    """A message whose pieces are stored, all but the record that commits."""

    submission: Submission
    envelope: Envelope
    header: str
    payload: bytes

    async def commit(self, *, alone: bool = False) -> Envelope:
        """As Submission.commit, which prepares before.

        alone: in a record of its own, whose second storing after a lost answer is refused as AlreadyStored."""
        self.submission.require_kept()
        shares = not alone and self.envelope.chunk_count == 0 and self.header != subjects.ELSEWHERE
        await self.submission.submitter.committer.commit(self.envelope.id, self.header, self.payload, shares=shares)
        return self.envelope


@value()
class _Waiting:
    """A message to commit: its part of the header, its body where that is small, and who waits for the end."""

    id: int
    header: str
    payload: bytes
    shares: bool  # whether it may lie in one record with others
    future: asyncio.Future[None]


class Storing(Protocol):
    """The part of the bus that a committer needs."""

    async def store(self, record: Record) -> int: ...


class Committer:
    """Stores the records that commit: what waits goes into one record (record_position), one in flight."""

    def __init__(self, bus: Storing) -> None:
        self._bus = bus
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    def commit(self, message_id: int, header: str, payload: bytes, *, shares: bool) -> asyncio.Future[None]:
        """Store a message; the future ends when it is on stable storage, or fails as Bus.store does.

        shares: it is small, and whole in header and payload, so that it may lie in one record with others."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(message_id, header, payload, shares, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        # One turn of the loop: whatever sessions committed in it goes together.
        await asyncio.sleep(0)
        while self._waiting:
            group = self._take()
            header = SEPARATOR.join(message.header for message in group)
            payload = b"".join(message.payload for message in group)
            record = Record(subjects.accepted(group[0].id), payload, {subjects.ENVELOPE_HEADER: header})
            try:
                await self._bus.store(record)
            except Exception as error:
                # Whatever it was, whoever waits must hear of it, and who comes next must not wait for ever.
                for message in group:
                    _fail(message.future, error)
                continue
            for message in group:
                if not message.future.done():
                    message.future.set_result(None)
        self._task = None

    def _take(self) -> list[_Waiting]:
        group = [self._waiting.popleft()]
        header, size = len(group[0].header), len(group[0].payload)
        while group[0].shares and self._waiting and self._waiting[0].shares:
            header += 1 + len(self._waiting[0].header)
            size += len(self._waiting[0].payload)
            if header > MAX_HEADER_BYTES or size > CHUNK_BYTES:
                break
            group.append(self._waiting.popleft())
        return group


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class Submission:
    """One message being stored."""

    def __init__(self, submitter: Submitter, message_id: int) -> None:
        self.id = message_id
        self.submitter = submitter
        self._pending = bytearray()
        self._size = 0
        self._chunks = 0
        self._stored_at = 0.0

    async def write(self, chunk: bytes) -> None:
        """Take a piece of the body (LF line ends). Waits while a full chunk is stored.

        Raises QueueFull, BusDown, GivenUp; the message can only be aborted then."""
        self._pending += chunk
        self._size += len(chunk)
        while len(self._pending) > CHUNK_BYTES:
            await self._store_chunk(bytes(self._pending[:CHUNK_BYTES]))
            del self._pending[:CHUNK_BYTES]

    async def _store_chunk(self, chunk: bytes) -> None:
        self.require_kept()
        number, self._chunks = self._chunks, self._chunks + 1
        await self.submitter.store(Record(subjects.body(self.id, number), chunk))
        self._stored_at = self.submitter.boottime()

    def require_kept(self) -> None:
        """Raises GivenUp where what was stored of the body may be gone."""
        silent = self.submitter.boottime() - self._stored_at
        if self._chunks and silent > abort.GIVEN_UP_SECONDS:
            raise GivenUp(f"no piece of the body was stored for {silent:.0f} s")

    async def commit(self, draft: Draft, invoked: bytes) -> Envelope:
        """Make the message exist; on return it is on stable storage. `invoked`: see `complete`.

        Raises QueueFull, BusDown, GivenUp (temporary) and EnvelopeTooLarge (permanent); nothing counts as accepted
        then. After BusDown it is unknown whether the record was stored: the sender's retry may be a copy."""
        return await (await self.prepare(draft, invoked)).commit()

    async def prepare(self, draft: Draft, invoked: bytes) -> Prepared:
        """Store all but the record that commits. Raises as `commit`."""
        payload = bytes(self._pending)
        self.require_kept()
        if self._chunks:
            if payload:
                await self._store_chunk(payload)
            payload = b""
        envelope = complete(
            draft,
            invoked,
            message_id=self.id,
            size_bytes=self._size,
            chunk_count=self._chunks,
            now=self.submitter.clock(),
        )
        encoded = encode_envelope(envelope)
        if len(encoded) > MAX_ENVELOPE_BYTES or len(envelope.recipients) > MAX_RECIPIENTS:
            raise EnvelopeTooLarge(f"{len(encoded)} bytes, {len(envelope.recipients)} recipients")
        header = base64.b64encode(encoded).decode()
        if len(header) > MAX_HEADER_BYTES:
            await self.submitter.store(Record(subjects.large_envelope(self.id), encoded))
            header = subjects.ELSEWHERE
        return Prepared(self, envelope, header, payload)

    async def abort(self) -> None:
        """Forget it: the scheduler removes what was half-stored."""
        self._pending.clear()
        if self._chunks:
            abort.tell(self.submitter.bus, self.id)


class Submitter:
    """Puts messages for one process; `ids` must hold a node (qmail.bus.nodes)."""

    def __init__(
        self,
        bus: Bus,
        ids: IdSource,
        clock: Callable[[], float] = time.time,
        boottime: Callable[[], float] = _boottime,
    ) -> None:
        self.bus = bus
        self.clock = clock
        self.boottime = boottime
        self.committer = Committer(self)
        self._ids = ids
        self._checked = float("-inf")
        self._disk_full_until = float("-inf")

    def begin(self) -> Submission:
        """A new message. Raises BusDown where this process has no numbers left to give."""
        try:
            return Submission(self, self._ids.next())
        except NoNumbers as error:
            raise BusDown(str(error)) from error

    async def store(self, record: Record) -> int:
        """As Bus.store; what fails for the disk keeps new messages away for a while."""
        try:
            return await self.bus.store(record)
        except DiskFull:
            self._disk_full_until = time.monotonic() + ROOM_SECONDS
            raise

    async def ready(self) -> None:
        """Whether a message may be begun. Raises QueueFull (no room) or BusDown."""
        if not self.bus.connected:
            raise BusDown("not connected to the bus")
        now = time.monotonic()
        # The figures of a stream say nothing of the disk: one message finds out, the others need not wait with it.
        if now < self._disk_full_until:
            raise QueueFull("the bus could not write a moment ago")
        if now - self._checked < ROOM_SECONDS:
            return
        for stream in (subjects.IN, subjects.BODY):
            info = await self.bus.info(stream)
            if info.max_bytes >= 0 and info.max_bytes - info.bytes < ROOM_BYTES:
                raise QueueFull(f"stream {stream} holds {info.bytes} of {info.max_bytes} bytes")
        self._checked = now
