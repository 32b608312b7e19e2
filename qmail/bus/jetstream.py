"""The real bus: the only module that imports nats.

nats-py's traps are hidden here (nats.md section 13): its own request() costs more than the message, its fetch()
stalls, its reconnection gives up; so there is one inbox, one outgoing queue and a pull loop of our own.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from qmail.bus.ports import (
    AlreadyStored,
    BusDown,
    DiskFull,
    Message,
    QueueFull,
    Record,
    RecordTooLarge,
    Stored,
    StreamInfo,
    WrongSequence,
)
from qmail.bus.pull import PullLoop
from qmail.bus.requests import Requests
from qmail.bus.talk import disk

_log = logging.getLogger(__name__)

STORE_TIMEOUT_SECONDS = 10.0
API_TIMEOUT_SECONDS = 5.0
HEARD_SECONDS = 1.0
POLL_SECONDS = 0.1
CONNECT_WAIT_SECONDS = 1
PING_SECONDS = 10
# What one subscription may hold unread; job groups and reports are small, records at most 1 MB.
PENDING_MESSAGES = 100_000
PENDING_BYTES = 256 * 1024 * 1024

_WRONG_LAST_SEQUENCE = (10071, 10164)
_FULL_TEXTS = ("maximum bytes exceeded", "maximum messages exceeded")
# The limit of the store, of the account; resources. Never a server that is merely busy or on its way down.
_FULL_CODES = (10002, 10023, 10047)
_TOO_LARGE_TEXTS = ("message too large", "message size exceeds maximum allowed")


def _raise_api_error(error: Mapping[str, Any]) -> None:
    code, text = error.get("err_code", 0), str(error.get("description", ""))
    if code in _WRONG_LAST_SEQUENCE:
        raise WrongSequence(text)
    # One error code serves both refusals; only the text tells them apart (design.md section 5).
    if "per subject" in text:
        raise AlreadyStored(text)
    if text in _FULL_TEXTS or code in _FULL_CODES:
        raise QueueFull(text)
    if text in _TOO_LARGE_TEXTS:
        raise RecordTooLarge(text)
    raise BusDown(text)


class _Subscription:
    """What `subscribe` gives."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._stopped = False

    async def stop(self) -> None:
        """Hear no more. While the connection is down it is forgotten here, and not asked for again."""
        if self._stopped:
            return
        self._stopped = True
        try:
            await self._subscription.unsubscribe()
        except (nats.errors.Error, OSError) as error:
            raise BusDown(f"unsubscribe: {error}") from error


class JetStreamBus:
    """One role's connection to the NATS server."""

    def __init__(self, inbox_prefix: str, on_lost: Callable[[], None] | None = None) -> None:
        self._client = Client()
        self._inbox_prefix = inbox_prefix
        self._inbox = ""
        self._requests = Requests()
        self._outgoing: deque[tuple[str, bytes, str, dict[str, str] | None]] = deque()
        self._outgoing_ready = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._pulls: list[PullLoop] = []
        self._on_lost = on_lost
        self._on_reconnected: list[Callable[[], None]] = []

    async def connect(self, url: str, user: str, password: str, name: str) -> None:
        """Connect, and go on trying until the server is there; later losses are mended in the background."""
        await self._client.connect(
            url,
            name=name,
            user=user,
            password=password,
            inbox_prefix=self._inbox_prefix,
            max_reconnect_attempts=-1,
            reconnect_time_wait=CONNECT_WAIT_SECONDS,
            connect_timeout=5,
            ping_interval=PING_SECONDS,
            max_outstanding_pings=2,
            error_cb=self._quiet,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
        )
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(
            self._inbox + ".*",
            cb=self._answered,
            pending_msgs_limit=PENDING_MESSAGES,
            pending_bytes_limit=PENDING_BYTES,
        )
        self._sender = asyncio.create_task(self._send_outgoing())

    @property
    def connected(self) -> bool:
        return bool(self._client.is_connected)

    async def _quiet(self, error: Exception) -> None:
        """nats-py reports each failed attempt to connect here; the roles' health check tells of the outage.

        What a callback raises would come here as well, and is logged where the callback is called."""

    async def _disconnected(self) -> None:
        self._requests.fail_all("the connection to the bus was lost")
        if self._on_lost is not None:
            self._on_lost()

    async def _reconnected(self) -> None:
        for pull in self._pulls:
            pull.resume()
        for callback in self._on_reconnected:
            try:
                callback()
            except Exception:
                _log.exception("after the connection came back")

    def on_reconnected(self, callback: Callable[[], None]) -> None:
        self._on_reconnected.append(callback)

    async def _answered(self, msg: Msg) -> None:
        token = msg.subject.rpartition(".")[2]
        self._requests.answer(token, Message(msg.subject, msg.data, "", msg.headers))

    async def _send_outgoing(self) -> None:
        """Hand everything of one turn of the loop to the client, in order."""
        while True:
            await self._outgoing_ready.wait()
            self._outgoing_ready.clear()
            while self._outgoing:
                subject, payload, reply, headers = self._outgoing.popleft()
                try:
                    await self._client.publish(subject, payload, reply=reply, headers=headers)
                except Exception as error:
                    # Whatever the client raises while it reconnects: what comes next must still be sent.
                    self._requests.answer(reply.rpartition(".")[2], _as_failure(subject, error))

    def _send(self, subject: str, payload: bytes, reply: str, headers: dict[str, str] | None = None) -> None:
        self._outgoing.append((subject, payload, reply, headers))
        self._outgoing_ready.set()

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        if self.connected:
            self._send(subject, payload, reply)

    async def _ask(
        self, subject: str, payload: bytes, timeout: float, headers: dict[str, str] | None = None
    ) -> Message:
        message = await self._exchange(subject, payload, timeout, headers)
        if _is_from_nobody(message):
            raise BusDown(f"nobody answers {subject}")
        return message

    async def _exchange(
        self, subject: str, payload: bytes, timeout: float, headers: dict[str, str] | None = None
    ) -> Message:
        if not self.connected:
            raise BusDown("not connected to the bus")
        token, future = self._requests.open(timeout)
        self._send(subject, payload, f"{self._inbox}.{token}", headers)
        return await future

    async def is_heard(self, subject: str) -> bool:
        """Whether anybody hears a subject: the server says at once where nobody does. Raises BusDown."""
        try:
            return not _is_from_nobody(await self._exchange(subject, b"", HEARD_SECONDS))
        except BusDown:
            if not self.connected:
                raise
            return True  # somebody hears it, and does not answer

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        """Send and wait for one answer. Raises BusDown."""
        return (await self._ask(subject, payload, timeout_seconds)).payload

    async def subscribe(self, subject: str, callback: Callable[[Message], None], group: str = "") -> _Subscription:
        """Have every message of the subject given to `callback`; in a group, one member gets each.

        While the connection is down it is remembered and begins with the next one."""

        async def receive(msg: Msg) -> None:
            try:
                callback(Message(msg.subject, msg.data, msg.reply, msg.headers))
            except Exception:
                _log.exception("message of %s", msg.subject)

        try:
            subscription = await self._client.subscribe(
                subject,
                queue=group,
                cb=receive,
                pending_msgs_limit=PENDING_MESSAGES,
                pending_bytes_limit=PENDING_BYTES,
            )
        except (nats.errors.Error, OSError) as error:
            raise BusDown(f"subscribe to {subject}: {error}") from error
        return _Subscription(subscription)

    async def _api(self, call: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        payload = b"" if arguments is None else json.dumps(arguments).encode()
        message = await self._ask(f"$JS.API.{call}", payload, API_TIMEOUT_SECONDS)
        answer: dict[str, Any] = json.loads(message.payload)
        return answer

    async def store(self, record: Record, expected_sequence: int | None = None) -> int:
        """Store one record on stable storage and give its sequence.

        A record whose acknowledgement was lost with the connection is stored again: where it is there already
        (write-once streams say so), that is what we wanted. A server that could not write acknowledges nothing more
        until it is started again (measured with 2.15.1), and says why to nobody: admin sees its disk, and where that
        has no room it is DiskFull."""
        headers = dict(record.headers) if record.headers else None
        size = len(record.payload) + sum(len(name) + len(value) for name, value in (headers or {}).items())
        if size > (self._client.max_payload or size):
            raise RecordTooLarge(f"{record.subject}: {size} bytes; at most {self._client.max_payload}")
        if expected_sequence is not None:
            headers = {**(headers or {}), "Nats-Expected-Last-Subject-Sequence": str(expected_sequence)}
        deadline = asyncio.get_running_loop().time() + STORE_TIMEOUT_SECONDS
        unknown = False
        while True:
            try:
                answer = await self._ask(record.subject, record.payload, STORE_TIMEOUT_SECONDS, headers)
                return _sequence_of(answer.payload)
            except AlreadyStored:
                if unknown:
                    return 0
                raise
            except BusDown:
                if expected_sequence is not None:
                    raise
                if asyncio.get_running_loop().time() >= deadline:
                    if await disk.is_full(self):
                        raise DiskFull(f"{record.subject}: the disk of the bus is full") from None
                    raise
                unknown = True
                # Where it was refused at once, it would be again.
                await asyncio.sleep(POLL_SECONDS)
                await self._wait_connected(deadline)

    async def _wait_connected(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not self.connected:
            if loop.time() >= deadline:
                raise BusDown("not connected to the bus")
            await asyncio.sleep(POLL_SECONDS)

    async def last(self, stream: str, subject: str) -> Stored | None:
        message = await self._ask(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", STORE_TIMEOUT_SECONDS)
        headers = message.headers or {}
        status = headers.get("Status")
        if status == "404":
            return None
        if status is not None:
            raise BusDown(f"direct get of {subject}: {status}")
        return Stored(subject, int(headers["Nats-Sequence"]), message.payload, headers)

    async def follow(
        self,
        stream: str,
        consumer: str,
        callback: Callable[[Stored], None],
        caught_up: Callable[[], None],
        *,
        after: int = 0,
        paced: bool = False,
    ) -> PullLoop:
        """Read a consumer (made by admin; we only reset it)."""
        inbox = f"{self._inbox_prefix}.pull.{self._inbox[-22:]}.{stream}.{consumer}"
        pull = PullLoop(
            stream=stream,
            consumer=consumer,
            inbox=inbox,
            send=lambda subject, payload: self._send(subject, payload, inbox),
            reset=self._reset,
            callback=callback,
            caught_up=caught_up,
            last_sequence=lambda: self._last_sequence(stream),
            after=after,
            paced=paced,
        )

        async def receive(msg: Msg) -> None:
            try:
                pull.receive(msg.subject, msg.reply, msg.data, msg.headers)
            except Exception:
                _log.exception("record of %s", msg.subject)

        await self._client.subscribe(
            inbox, cb=receive, pending_msgs_limit=PENDING_MESSAGES, pending_bytes_limit=PENDING_BYTES
        )
        self._pulls.append(pull)
        await pull.start()
        return pull

    async def _last_sequence(self, stream: str) -> int:
        return (await self.info(stream)).last_sequence

    async def _reset(self, stream: str, consumer: str, sequence: int) -> None:
        answer = await self._api(f"CONSUMER.RESET.{stream}.{consumer}", {"seq": sequence})
        if "error" in answer:
            raise BusDown(f"consumer {consumer} of {stream}: {answer['error'].get('description')}")

    async def info(self, stream: str) -> StreamInfo:
        """How full a stream is. Raises KeyError where it does not exist."""
        answer = await self._api(f"STREAM.INFO.{stream}")
        if "error" in answer:
            raise KeyError(stream)
        state = answer["state"]
        return StreamInfo(
            state["messages"],
            state["bytes"],
            answer["config"].get("max_bytes", -1),
            state["first_seq"],
            state["last_seq"],
        )

    async def subjects(self, stream: str, pattern: str) -> list[str]:
        answer = await self._api(f"STREAM.INFO.{stream}", {"subjects_filter": pattern})
        if "error" in answer:
            raise BusDown(f"subjects of {stream}: {answer['error'].get('description')}")
        return list(answer["state"].get("subjects") or {})

    async def purge(self, stream: str, subject: str = "", below_sequence: int = 0) -> None:
        arguments: dict[str, Any] = {}
        if subject:
            arguments["filter"] = subject
        if below_sequence:
            arguments["seq"] = below_sequence
        answer = await self._api(f"STREAM.PURGE.{stream}", arguments)
        if "error" in answer:
            raise BusDown(f"purge of {stream}: {answer['error'].get('description')}")

    async def api(self, call: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A JetStream API call as it is, for admin's making of streams and consumers."""
        return await self._api(call, arguments)

    async def close(self) -> None:
        for pull in self._pulls:
            await pull.stop()
        if self._sender is not None:
            # The sender runs in the turn after the last publish; then the client flushes what it was given.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._sender.cancel()
        await _within(2.0, self._client.close())


async def _within(seconds: float, what: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(what, seconds)
    except (TimeoutError, nats.errors.Error, OSError):
        return


def _is_from_nobody(message: Message) -> bool:
    """Whether the server answered itself, because there are no responders (ADR-4)."""
    return message.headers is not None and message.headers.get("Status") == "503"


def _sequence_of(payload: bytes) -> int:
    answer = json.loads(payload)
    if "error" in answer:
        _raise_api_error(answer["error"])
    return int(answer["seq"])


def _as_failure(subject: str, error: Exception) -> Message:
    text = json.dumps({"error": {"code": 503, "err_code": 0, "description": str(error)}})
    return Message(subject, text.encode(), "", {"Status": "503"})
