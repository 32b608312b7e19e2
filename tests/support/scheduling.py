"""A scheduler without a bus: its effects are kept in a list, its clock is the test's."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from qmail.bus.ports import Bus
from qmail.control.routing import Routes
from qmail.log.log import Log
from qmail.message.address import Address
from qmail.message.envelope import Envelope, MailParameters, Origin, Recipient
from qmail.queue.deliveries import Heartbeat, Job, RecordPosition, Report, ReportGroup
from services.queue.context import Context
from services.queue.decide import effects, events
from services.queue.decide.controls import Controls
from services.queue.decide.effects import (
    Confirm,
    Effect,
    StartJob,
    StoreDone,
    StoreEnd,
    StoreState,
)
from services.queue.decide.scheduler import Scheduler

E = TypeVar("E")


class Lines(Log):
    """Keeps the log."""

    def __init__(self) -> None:
        super().__init__("qmail")
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def make_context(
    bus: Bus,
    log: Log,
    epoch: int = 1,
    *,
    held_at: Callable[[], float] = lambda: math.inf,
    on_broken: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.time,
) -> Context:
    """The context of a scheduler, whose lease is its for ever where nothing else is said."""
    return Context(bus=bus, log=log, epoch=epoch, held_at=held_at, on_broken=on_broken, clock=clock)


class Driven:
    """A scheduler whose records count as stored at once; what it has had done is kept."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.effects: list[Effect] = []

    def step(self, *happened: events.Event) -> list[Effect]:
        """What follows from events, and from having stored what they ask for."""
        before = len(self.effects)
        for event in happened:
            for effect in self.scheduler.step(event):
                self.effects.append(effect)
                if isinstance(effect, StoreDone | StoreState | StoreEnd):
                    self.step(events.Stored(effect))
        return self.effects[before:]

    def proceed(self, now: int = 0) -> None:
        """Begin what is due and start what can be started, with workers of both channels there."""
        for channel in ("local", "remote"):
            self.step(events.Beat(channel, Heartbeat("w", ()), now))
        self.step(events.Proceed(now, now))

    def accept(self, envelope: Envelope, now: int = 0) -> None:
        """A new message, alone in its record of IN."""
        self.step(events.Accepted(envelope, RecordPosition(envelope.id, envelope.id), now))

    def answer(self, job: Job, letter: str, text: bytes = b"", now: int = 0, channel: str = "local") -> None:
        """A worker's report on a job."""
        report = Report(job.id, job.number, job.attempt, letter, text)
        self.step(events.Reported(channel, ReportGroup("w", (report,)), now))

    def all_of(self, kind: type[E]) -> list[E]:
        """The effects of one kind so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def lines(self) -> list[str]:
        return [line for effect in self.all_of(effects.Log) for line in effect.lines]

    @property
    def jobs(self) -> list[tuple[str, Job]]:
        return [(effect.channel, effect.job) for effect in self.all_of(StartJob)]

    @property
    def confirmed(self) -> list[Report]:
        return [effect.report for effect in self.all_of(Confirm)]


ROUTES = Routes(
    locals=frozenset({b"xeris.com", b"mail.xeris.com"}),
    virtualdomains={b"virt.example": b"joni"},
    percenthack=frozenset(),
    envnoathost=b"mail.xeris.com",
)


def make_scheduler(*, local: int = 10, remote: int = 20, lifetime: int = 604800, routes: Routes = ROUTES) -> Driven:
    """A scheduler that has begun."""
    controls = Controls(routes=routes, concurrency={"local": local, "remote": remote}, lifetime_seconds=lifetime)
    driven = Driven(Scheduler(controls))
    driven.step(events.Rebuilt())
    return driven


def make_envelope(
    message_id: int, *recipients: bytes, sender: bytes = b"ari@xeris.com", birth: int = 0, hold_until: int = 0
) -> Envelope:
    """An accepted message; `birth` in seconds since the epoch."""
    return Envelope(
        id=message_id,
        time_ms=birth * 1000,
        size_bytes=100,
        chunk_count=0,
        origin=Origin(uid=901, role="smtpd", remote_ip="192.168.1.1"),
        sender=Address(sender),
        recipients=tuple(Recipient(Address(recipient)) for recipient in recipients),
        parameters=MailParameters(hold_until_ms=hold_until * 1000),
        prefix=b"Received: x\n",
    )
