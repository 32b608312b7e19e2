"""A delivery worker: takes jobs from the bus, fetches the messages, has them delivered, reports.

What qmail-lspawn(8) and qmail-rspawn(8) are to qmail-send. A report is repeated until the scheduler, this one or
the next, confirms it; a job that this process ran before is not run again but answered again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from qmail.bus.ports import Bus, BusDown, Subscription, TemporaryError
from qmail.control.routing import LOCAL
from qmail.message.envelope import Envelope, EnvelopeError
from qmail.message.value import value
from qmail.queue.deliveries import BEAT_SECONDS, MISSING, Confirmation, Heartbeat, Job, JobGroup, Report
from qmail.queue.fetch import Fetched, MessageMissing, body_pieces
from qmail.queue.talk import jobs, reports
from services.delivery.outcome import Kind, Outcome, deferral
from services.delivery.records import MessageReader

_log = logging.getLogger(__name__)

# A job that takes longer is slow: the scheduler hears of it, and gives others what would have to wait for it.
SLOW_SECONDS = 0.5
# How long a worker that ends waits for confirmations when nothing runs any more. A scheduler that is there confirms the
# first or the second repetition; one that has gone never does, and the job is done again, as after a crash.
CONFIRM_SECONDS = 10.0
# Reports the scheduler has confirmed are remembered this many jobs long, against a job group that came twice.
REMEMBERED = 1000
FETCH_FAILED = b"Unable to read the message from the bus. (#4.3.0)\n"


@value(kw_only=True)
class Delivery:
    """One recipient of one message, as the delivery programs get it: the message is `envelope.prefix` + body.

    `body` is None where it is large; `pieces()` gives it in either case."""

    job: Job
    envelope: Envelope
    body: bytes | None
    pieces: Callable[[], AsyncIterator[bytes]]


class Deliverer(Protocol):
    """services.delivery.local or services.delivery.remote."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Deliver once; never raises."""


@dataclass(slots=True)
class _Work:
    """A job that runs (no outcome yet), or whose report is not confirmed."""

    attempt: int
    began: float  # by the loop's clock
    outcome: tuple[str, bytes] | None = None


class Worker:
    """One worker of a channel (`local` or `remote`)."""

    def __init__(self, bus: Bus, channel: str, deliverer: Deliverer) -> None:
        self._bus, self._channel, self._deliverer = bus, channel, deliverer
        self._name = secrets.token_hex(8)
        self._epoch = 0
        self._work: dict[tuple[int, int], _Work] = {}  # by message and recipient number
        self._tasks: set[asyncio.Task[None]] = set()
        self._confirmed: OrderedDict[tuple[int, int, int], None] = OrderedDict()
        self._fresh: list[tuple[int, int]] = []
        self._report_scheduled = False
        self._messages = MessageReader(bus)
        self._jobs: Subscription | None = None
        self._beat: asyncio.Task[None] | None = None
        self._stopping = False
        self._slow_timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()

    async def start(self) -> None:
        """Take work from now on. Raises BusDown."""
        await reports.hear_confirmations(self._bus, self._channel, self._name, self._on_confirmed)
        self._jobs = await jobs.take(self._bus, self._channel, self._on_jobs)
        self._beat = asyncio.create_task(self._heartbeat())

    async def stop(self, grace_seconds: float) -> None:
        """Take no new work, finish what runs as far as the grace goes, and wait a little for the confirmations."""
        if self._jobs is not None:
            # While we hear of jobs, the bus gives us our share of them.
            with contextlib.suppress(BusDown):
                await self._jobs.stop()
        self._stopping = True
        self._say_what_runs()
        if self._tasks:
            # What goes on beyond it is cut off: the scheduler hears no heartbeat and defers it.
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        self._check_idle()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), CONFIRM_SECONDS)
        if self._beat is not None:
            self._beat.cancel()

    # Jobs.

    def _on_jobs(self, group: JobGroup) -> None:
        # A scheduler that lost its lease must not start anything any more.
        if group.epoch < self._epoch:
            return
        self._epoch = group.epoch
        for job in group.jobs:
            self._take(job)

    def _take(self, job: Job) -> None:
        work = self._work.get(job.recipient_key)
        if work is not None:
            # The scheduler did not hear of us for a while and tries anew what we do already: it gets this answer.
            work.attempt = max(work.attempt, job.attempt)
            if work.outcome is not None:
                self._report_soon(job.recipient_key)
        elif job.key not in self._confirmed:
            self._work[job.recipient_key] = _Work(job.attempt, asyncio.get_running_loop().time())
            self._look_for_slow_soon()
            task = asyncio.create_task(self._run(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Job) -> None:
        missing = False

        async def pieces(fetched: Fetched) -> AsyncIterator[bytes]:
            nonlocal missing
            try:
                async for piece in body_pieces(self._bus, fetched):
                    yield piece
            except MessageMissing:
                missing = True
                raise

        try:
            fetched = await self._messages.fetch(job)
        except MessageMissing:
            missing, outcome = True, deferral(FETCH_FAILED)
        except (TemporaryError, EnvelopeError):
            outcome = deferral(FETCH_FAILED)
        except Exception:
            # A job without an outcome would be reported as running for ever.
            _log.exception("msg %d", job.id)
            outcome = deferral(FETCH_FAILED)
        else:
            delivery = Delivery(job=job, envelope=fetched.envelope, body=fetched.body, pieces=lambda: pieces(fetched))
            outcome = await self._deliverer.deliver(delivery)
        missing = missing and outcome.kind is Kind.DEFERRAL
        self._work[job.recipient_key].outcome = (MISSING if missing else outcome.kind.value, outcome.text)
        self._report_soon(job.recipient_key)

    # Reports.

    def _report_soon(self, key: tuple[int, int]) -> None:
        self._fresh.append(key)
        if not self._report_scheduled:
            self._report_scheduled = True
            asyncio.get_running_loop().call_soon(self._report_fresh)

    def _report_fresh(self) -> None:
        self._report_scheduled = False
        fresh, self._fresh = self._fresh, []
        self._report(fresh)

    def _report(self, keys: Iterable[tuple[int, int]]) -> None:
        ended = []
        for key in keys:
            work = self._work.get(key)
            if work is not None and work.outcome is not None:
                ended.append(Report(*key, work.attempt, *work.outcome))
        reports.report(self._bus, self._channel, self._name, ended)

    def _on_confirmed(self, confirmation: Confirmation) -> None:
        for message_id, number, attempt in confirmation.confirmed:
            work = self._work.get((message_id, number))
            if work is not None and work.outcome is not None and work.attempt == attempt:
                del self._work[message_id, number]
                self._confirmed[message_id, number, attempt] = None
        while len(self._confirmed) > REMEMBERED:
            self._confirmed.popitem(last=False)
        self._check_idle()

    def is_quiet(self) -> bool:
        """Whether nothing runs and every report is confirmed."""
        return not self._work

    def _check_idle(self) -> None:
        if self._stopping and self.is_quiet():
            self._idle.set()

    def _look_for_slow_soon(self) -> None:
        """One timer for all that runs: whatever began meanwhile is looked at the next time."""
        if self._slow_timer is None and self._channel == LOCAL:
            self._slow_timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._look_for_slow)

    def _look_for_slow(self) -> None:
        self._slow_timer = None
        if self._slow():
            self._say_what_runs()
        if any(work.outcome is None for work in self._work.values()):
            self._look_for_slow_soon()

    def _slow(self) -> list[tuple[int, int]]:
        if self._channel != LOCAL:
            return []
        before = asyncio.get_running_loop().time() - SLOW_SECONDS
        return [key for key, work in self._work.items() if work.outcome is None and work.began <= before]

    def _say_what_runs(self) -> None:
        running = tuple((*key, work.attempt) for key, work in self._work.items())
        reports.say_what_runs(
            self._bus, self._channel, Heartbeat(self._name, running, self._stopping, tuple(self._slow()))
        )

    async def _heartbeat(self) -> None:
        """What runs, every two seconds; and again whatever has not been confirmed since the last time."""
        overdue: set[tuple[int, int]] = set()
        while True:
            self._say_what_runs()
            unconfirmed = {key for key, work in self._work.items() if work.outcome is not None}
            self._report(overdue & unconfirmed)
            overdue = unconfirmed
            await asyncio.sleep(BEAT_SECONDS)
