"""The bus in memory: the same promises as `jetstream` without a server, for unit tests and recorded cases.

tests/contracts runs one suite against both.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from qmail.bus import subjects
from qmail.bus.ports import (
    AlreadyStored,
    BusDown,
    Message,
    QueueFull,
    Record,
    RecordTooLarge,
    Stored,
    StreamInfo,
    WrongSequence,
)

_STREAM_OF = {
    "in": subjects.IN,
    "body": subjects.BODY,
    "envelope": subjects.BODY,
    "hold": subjects.HOLD,
    "state": subjects.JOURNAL,
    "done": subjects.JOURNAL,
    "lease": subjects.CLAIMS,
    "node": subjects.CLAIMS,
    "paused": subjects.CLAIMS,
    "known": subjects.LOGINS,
    "event": subjects.EVENTS,
}
_WRITE_ONCE = (subjects.IN, subjects.BODY, subjects.HOLD)
# The server's max_payload.
MAX_PAYLOAD_BYTES = 1024 * 1024
_HEADERS_ONLY = (subjects.IN, subjects.HOLD)


@dataclass(slots=True)
class _Stream:
    records: dict[int, Stored] = field(default_factory=dict)
    last_of: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    max_bytes: int = -1
    sequence: int = 0
    followers: list[_Follower] = field(default_factory=list)


class _Follower:
    def __init__(self, callback: Callable[[Stored], None]) -> None:
        self.callback = callback
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True

    def go(self) -> None:
        """There is never more."""


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject fits a pattern with `*` (one token) and `>` (the rest)."""
    want, have = pattern.split("."), subject.split(".")
    for number, token in enumerate(want):
        if token == ">":
            return len(have) > number
        if number >= len(have) or token not in ("*", have[number]):
            return False
    return len(want) == len(have)


class MemorySubscription:
    """What `subscribe` gives."""

    def __init__(self, bus: MemoryBus, pattern: str, group: str, callback: Callable[[Message], None]) -> None:
        self._bus = bus
        self.pattern = pattern
        self.group = group
        self._callback = callback
        self._stopped = False

    def hear(self, message: Message) -> None:
        """Give a message out, unless it comes too late."""
        if not self._stopped:
            self._callback(message)

    async def stop(self) -> None:
        """Hear no more."""
        self._stopped = True
        self._bus.forget(self)


class MemoryBus:
    """One bus shared by every role of a test."""

    def __init__(self) -> None:
        self.streams: dict[str, _Stream] = defaultdict(_Stream)
        self._connected = True
        self._on_reconnected: list[Callable[[], None]] = []
        self._subscriptions: list[MemorySubscription] = []
        self._turns: dict[tuple[str, str], int] = {}
        self._answers: dict[str, asyncio.Future[bytes]] = {}
        self._requests = 0

    @property
    def connected(self) -> bool:
        """Set by tests."""
        return self._connected

    @connected.setter
    def connected(self, connected: bool) -> None:
        came_back = connected and not self._connected
        self._connected = connected
        if came_back:
            for callback in self._on_reconnected:
                callback()

    def on_reconnected(self, callback: Callable[[], None]) -> None:
        """Have `callback` called each time that the connection stands again."""
        self._on_reconnected.append(callback)

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Send without waiting; every subscriber hears of it in the next turn of the loop."""
        if not self.connected:
            return
        future = self._answers.pop(subject, None)
        if future is not None:
            if not future.done():
                future.set_result(payload)
            return
        self._deliver(Message(subject, payload, reply))

    def _deliver(self, message: Message) -> bool:
        loop = asyncio.get_running_loop()
        groups: dict[tuple[str, str], list[Callable[[Message], None]]] = defaultdict(list)
        heard = False
        for subscription in self._subscriptions:
            if not matches(subscription.pattern, message.subject):
                continue
            heard = True
            if subscription.group:
                groups[subscription.pattern, subscription.group].append(subscription.hear)
            else:
                loop.call_soon(subscription.hear, message)
        for key, members in groups.items():
            turn = self._turns[key] = self._turns.get(key, -1) + 1
            loop.call_soon(members[turn % len(members)], message)
        return heard

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        """Send and wait for one answer. Raises BusDown where nobody answers."""
        self._require_connection()
        self._requests += 1
        reply = f"_INBOX.{self._requests}"
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[reply] = future
        if not self._deliver(Message(subject, payload, reply)):
            self._answers.pop(reply, None)
            raise BusDown(f"nobody answers {subject}")
        try:
            return await asyncio.wait_for(future, timeout_seconds)
        except TimeoutError as error:
            raise BusDown("no answer in time") from error

    async def is_heard(self, subject: str) -> bool:
        """Whether anybody hears a subject. Raises BusDown."""
        self._require_connection()
        return self._deliver(Message(subject, b""))

    async def subscribe(self, subject: str, callback: Callable[[Message], None], group: str = "") -> MemorySubscription:
        """Have every message of the subject given to `callback`; in a group, one member gets each."""
        subscription = MemorySubscription(self, subject, group, callback)
        self._subscriptions.append(subscription)
        return subscription

    def forget(self, subscription: MemorySubscription) -> None:
        """It hears no more: it was stopped, or its role has died."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def _require_connection(self) -> None:
        if not self.connected:
            raise BusDown("not connected to the bus")

    async def store(self, record: Record, expected_sequence: int | None = None) -> int:
        """Store one record. Raises QueueFull, AlreadyStored, WrongSequence, BusDown."""
        self._require_connection()
        self._check(record, expected_sequence)
        return self._append(record)

    def _check(self, record: Record, expected_sequence: int | None) -> None:
        name = _STREAM_OF[record.subject.split(".", 1)[0]]
        stream = self.streams[name]
        if len(record.payload) > MAX_PAYLOAD_BYTES:
            raise RecordTooLarge(f"{record.subject}: {len(record.payload)} bytes; at most {MAX_PAYLOAD_BYTES}")
        last = stream.last_of.get(record.subject, 0)
        if expected_sequence is not None and expected_sequence != last:
            raise WrongSequence(f"last is {last}")
        if name in _WRITE_ONCE and last:
            raise AlreadyStored("maximum messages per subject exceeded")
        if stream.max_bytes >= 0 and stream.bytes + _size(record.payload) > stream.max_bytes:
            raise QueueFull("maximum bytes exceeded")

    def _append(self, record: Record) -> int:
        name = _STREAM_OF[record.subject.split(".", 1)[0]]
        stream = self.streams[name]
        if record.subject in stream.last_of:
            self._drop(stream, stream.last_of[record.subject])
        stream.sequence += 1
        stored = Stored(record.subject, stream.sequence, record.payload, dict(record.headers or {}))
        stream.records[stream.sequence] = stored
        stream.last_of[record.subject] = stream.sequence
        stream.bytes += _size(record.payload)
        for follower in stream.followers:
            asyncio.get_running_loop().call_soon(self._show, name, follower, stored)
        return stream.sequence

    @staticmethod
    def _show(name: str, follower: _Follower, stored: Stored) -> None:
        if follower.stopped:
            return
        if name in _HEADERS_ONLY:
            stored = Stored(stored.subject, stored.sequence, b"", stored.headers)
        follower.callback(stored)

    @staticmethod
    def _drop(stream: _Stream, sequence: int) -> None:
        stored = stream.records.pop(sequence)
        stream.bytes -= _size(stored.payload)
        if stream.last_of.get(stored.subject) == sequence:
            del stream.last_of[stored.subject]

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last record of a subject, None where there is none."""
        self._require_connection()
        sequence = self.streams[stream].last_of.get(subject)
        return None if sequence is None else self.streams[stream].records[sequence]

    async def follow(
        self,
        stream: str,
        consumer: str,
        callback: Callable[[Stored], None],
        caught_up: Callable[[], None],
        *,
        after: int = 0,
        paced: bool = False,
    ) -> _Follower:
        """Read everything that is stored, then what comes; all at once, however it is paced."""
        self._require_connection()
        follower = _Follower(callback)
        for stored in list(self.streams[stream].records.values()):
            if stored.sequence > after:
                self._show(stream, follower, stored)
        self.streams[stream].followers.append(follower)
        caught_up()
        return follower

    async def info(self, stream: str) -> StreamInfo:
        """How full a stream is."""
        self._require_connection()
        s = self.streams[stream]
        first = min(s.records, default=s.sequence + 1)
        return StreamInfo(len(s.records), s.bytes, s.max_bytes, first, s.sequence)

    async def subjects(self, stream: str, pattern: str) -> list[str]:
        """The subjects of a stream that fit a pattern and hold a record."""
        self._require_connection()
        known = self.streams[stream].last_of
        if not {"*", ">"} & set(pattern):
            return [pattern] if pattern in known else []
        return [subject for subject in known if matches(pattern, subject)]

    async def purge(self, stream: str, subject: str = "", below_sequence: int = 0) -> None:
        """Forget the records of a subject, or those below a sequence, or both."""
        self._require_connection()
        s = self.streams[stream]
        for sequence, stored in list(s.records.items()):
            if subject and not matches(subject, stored.subject):
                continue
            if below_sequence and sequence >= below_sequence:
                continue
            self._drop(s, sequence)

    async def close(self) -> None:
        """Nothing is pending here."""
        self.connected = False


def _size(payload: bytes) -> int:
    """About what a record costs a file store beside its payload."""
    return len(payload) + 64
