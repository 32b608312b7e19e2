"""What the roles may expect of the bus; `jetstream` is the real one, `memory` its twin for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from qmail.message.value import value


class TemporaryError(Exception):
    """It may pass: the peer is told to try again."""


class BusDown(TemporaryError):
    """The bus did not answer in time; whether it stored is unknown."""


class QueueFull(TemporaryError):
    """The stream has no room; nothing was stored."""


class DiskFull(QueueFull):
    """The disk of the server is full: nothing is stored until there is room and it has been started again."""


class AlreadyStored(Exception):
    """The subject of a write-once stream is taken: somebody, perhaps we, stored it before."""


class RecordTooLarge(Exception):
    """The server takes no record of this size."""


class WrongSequence(Exception):
    """The expected last sequence of a subject was not the last any more: somebody else wrote."""


@value()
class Message:
    """A message of the bus, not stored."""

    subject: str
    payload: bytes
    reply: str = ""
    headers: Mapping[str, str] | None = None


@value()
class Stored:
    """A record of a stream; `payload` is empty where a headers-only consumer brought it."""

    subject: str
    sequence: int
    payload: bytes
    headers: Mapping[str, str]


@value()
class Record:
    """Something to store."""

    subject: str
    payload: bytes
    headers: Mapping[str, str] | None = None


@value()
class StreamInfo:
    """How full a stream is; `max_bytes` is -1 where there is no limit."""

    messages: int
    bytes: int
    max_bytes: int
    first_sequence: int
    last_sequence: int


class Subscription(Protocol):
    """A subject being heard."""

    async def stop(self) -> None:
        """Hear no more; what has come and was not given out yet is dropped. A second time nothing happens."""


class Follower(Protocol):
    """A consumer being read."""

    def go(self) -> None:
        """Bring some hundred records more, where it is paced."""

    async def stop(self) -> None:
        """Read no more."""


class Bus(Protocol):
    """One role's connection. Every method raises BusDown when the bus does not answer."""

    @property
    def connected(self) -> bool:
        """Whether the connection stands at this moment."""

    def on_reconnected(self, callback: Callable[[], None]) -> None:
        """Have `callback` called each time that the connection stands again after it was lost."""

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Send without waiting; lost where nobody listens."""

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        """Send and wait for one answer."""

    async def is_heard(self, subject: str) -> bool:
        """Whether anybody hears a subject at this moment; they are sent an empty question."""

    async def subscribe(self, subject: str, callback: Callable[[Message], None], group: str = "") -> Subscription:
        """Have every message of the subject given to `callback`; in a group, one member gets each."""

    async def store(self, record: Record, expected_sequence: int | None = None) -> int:
        """Store one record on stable storage and give its sequence.

        Raises QueueFull, AlreadyStored, WrongSequence (only with `expected_sequence`), RecordTooLarge, BusDown."""

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last record of a subject, None where there is none."""

    async def follow(
        self,
        stream: str,
        consumer: str,
        callback: Callable[[Stored], None],
        caught_up: Callable[[], None],
        *,
        after: int = 0,
        paced: bool = False,
    ) -> Follower:
        """Read a consumer after a sequence; `caught_up` is called once, when all that was stored before has been given
        to `callback`. paced: after the first some hundred records only as often as `Follower.go` is called."""

    async def info(self, stream: str) -> StreamInfo:
        """How full a stream is. Raises KeyError where it does not exist."""

    async def subjects(self, stream: str, pattern: str) -> list[str]:
        """The subjects of a stream that fit a pattern and hold a record; at most 100,000 of them."""

    async def purge(self, stream: str, subject: str = "", below_sequence: int = 0) -> None:
        """Forget the records of a subject (wildcards allowed), or those below a sequence, or both."""

    async def close(self) -> None:
        """Send what is pending and disconnect."""
