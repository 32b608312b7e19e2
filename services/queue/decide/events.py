"""What the scheduler is told. `now` is the time of day in seconds since the epoch, `monotonic` that of time.monotonic:
whether a worker is alive must not depend on the date."""

from __future__ import annotations

from collections.abc import Set

from qmail.message.envelope import Envelope
from qmail.message.value import value
from qmail.queue.deliveries import Heartbeat, RecordPosition, ReportGroup
from services.queue.decide.controls import Controls
from services.queue.decide.effects import StoreDone, StoreEnd, StoreState
from services.queue.decide.message import QueuedMessage
from services.queue.decide.waiting import DueTimes, NumberSet


class Event:
    """One of these."""

    __slots__ = ()


@value()
class Accepted(Event):
    """A new message, or one of before a restart of which the recipients `done` were done by the done records.

    Where it cannot be routed or logged, `step` raises whatever that raises, and does not know the message."""

    envelope: Envelope
    position: RecordPosition
    now: int
    done: Set[int] = frozenset()


@value()
class Proceed(Event):
    """Begin the attempts that are due and start what waits, as far as there is room."""

    now: int
    monotonic: float


@value()
class Reported(Event):
    """A worker tells how deliveries ended."""

    channel: str
    group: ReportGroup
    now: int


@value()
class Stored(Event):
    """A record that an effect asked for is on stable storage."""

    effect: StoreDone | StoreState | StoreEnd


@value()
class Bounced(Event):
    """The bounce is on the bus, or there was nobody to send it to: `line` says which."""

    message: QueuedMessage
    line: str


@value()
class Beat(Event):
    """A worker tells what it runs."""

    channel: str
    heartbeat: Heartbeat
    monotonic: float


@value()
class SecondPassed(Event):
    """Look who fell silent. deaf: nobody could be heard, and silence says nothing."""

    now: int
    monotonic: float
    deaf: bool = False


@value()
class Flushed(Event):
    """SIGALRM: everything that waits is due now (qmail-send(8))."""

    now: int


@value()
class Paused(Event):
    """Whether deliveries are to be started no more."""

    paused: bool


@value()
class Reloaded(Event):
    """From now on: what runs goes on, what waits is routed as it was, and is tried as long as is said now."""

    controls: Controls


@value()
class Slept(Event):
    """Forget a message whose record is stored, if it only waits; it is read again when it is due."""

    message: QueuedMessage


@value()
class Needed(Event):
    """Somebody is going to work on a message: if it sleeps, and nobody reads it yet, it is to be read."""

    message_id: int


@value()
class Woken(Event):
    """A message that slept has been read: what is due begins, what was flushed is due."""

    message: QueuedMessage
    now: int


@value()
class SetAside(Event):
    """Forget a message that has not ended, where nothing of it runs: its record cannot be read, or it is nowhere."""

    message_id: int


@value()
class GivenUp(Event):
    """A message that was set aside needs no more."""

    message: QueuedMessage


@value()
class Remembered(Event):
    """Messages from before a restart that need not be in memory until they are due; both are of no use afterwards."""

    numbers: NumberSet
    dues: dict[str, DueTimes]


@value()
class Adopted(Event):
    """A job of the scheduler before us still runs: it holds its place until its report comes."""

    channel: str
    message_id: int
    number: int
    attempt: int
    monotonic: float


@value()
class Rebuilt(Event):
    """Everything from before the restart is known."""
