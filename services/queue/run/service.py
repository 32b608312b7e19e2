"""The queue role on the bus: carries out the scheduler's effects and brings it what comes in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial

from qmail.bus import subjects
from qmail.bus.ports import Bus, TemporaryError
from qmail.bus.talk import abort, flush
from qmail.bus.talk.messages import Malformed
from qmail.control.files import Control, ControlError
from qmail.control.routing import LOCAL, REMOTE
from qmail.control.table import Taken, files_of
from qmail.log.log import Log
from qmail.message.address import Address
from qmail.message.ids import IdSource, NoNumbers
from qmail.queue.talk import reports
from qmail.queue.talk.jobs import Job
from qmail.queue.talk.reports import MISSING, SILENCE_SECONDS, Heartbeat, Report, ReportGroup
from services.queue.decide.message import Message
from services.queue.decide.recently_ended import RecentlyEnded
from services.queue.decide.scheduler import Scheduler
from services.queue.decide.shares import itself
from services.queue.run.bounce_client import BounceDesk
from services.queue.run.hold_copier import Keeper
from services.queue.run.intake import Intake
from services.queue.run.missing import Lost
from services.queue.run.mover import Mover
from services.queue.run.outbox import Outbox
from services.queue.run.rebuild import Rebuild
from services.queue.run.unread import UnreadFiles
from services.queue.settings import read_order
from services.queue.store.cleaner import Cleaner
from services.queue.store.floor import Floor
from services.queue.store.gaps import LossWatch
from services.queue.store.journal import Journal
from services.queue.store.pause import read_pause, store_pause
from services.queue.store.reading import Reading
from services.queue.store.records import ALL, Records

_log = logging.getLogger(__name__)

# What ran before us is adopted if its worker names it within this time; nothing old is started before.
LISTEN_SECONDS = 5.0
SWEEP_SECONDS = 1.0
# A sweep so much later than the one before means that this process stood still.
LATE_SECONDS = 3.0
RETRY_SECONDS = 2.0
MAX_LOADING = 256


class QueueService:
    """One scheduler at work; it holds the lease while this object lives."""

    def __init__(
        self,
        *,
        bus: Bus,
        control: Control,
        ids: IdSource,
        log: Log,
        epoch: int,
        held_at: Callable[[], float],
        on_broken: Callable[[], None],
        account_of: Callable[[Address], bytes] = itself,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises ControlError. account_of: whose mailbox the address of a local delivery is; held_at: see Lease.

        `on_broken` is called when work that never ends has ended by a fault of ours: memory may be wrong, and a new
        start makes it anew from the streams."""
        self._bus, self._control, self._ids, self._log, self._clock = bus, control, ids, log, clock
        self.outbox = Outbox(bus)
        journal = Journal()
        self.records = Records(bus, journal, log.line, self._spawn)
        self.outbox.epoch = self.records.epoch = epoch
        self.reading = Reading(bus, log.line)
        self._desk = BounceDesk(bus, log.line)
        self.floor = Floor()
        self.scheduler = Scheduler(
            order=read_order(control),
            out=self,
            account_of=account_of,
        )
        self.cleaner = Cleaner(bus, self.floor, journal, log.line, held_at)
        self._lost = Lost(
            bus=bus,
            reading=self.reading,
            scheduler=self.scheduler,
            journal=journal,
            floor=self.floor,
            notices=log.notices,
            log=log.line,
            clock=clock,
            end=self.ended,
        )
        self._keeper = Keeper(
            desk=self._desk,
            floor=self.floor,
            records=self.records,
            scheduler=self.scheduler,
            load=self._load,
            forget_copy=self.cleaner.forget_copy,
            look=self._lost.look,
        )
        self._mover = Mover(
            bus=bus,
            journal=journal,
            records=self.records,
            scheduler=self.scheduler,
            load=self._load,
            let_sleep=self._keeper.let_sleep,
        )
        self._on_broken = on_broken
        self._unread = UnreadFiles(control.directory, log.notices)
        self._workers: dict[str, dict[str, float]] = {"local": {}, "remote": {}}
        self._undone_records: dict[int, int] = {}
        self._ended = RecentlyEnded()
        self._intake = Intake(
            scheduler=self.scheduler,
            floor=self.floor,
            reading=self.reading,
            desk=self._desk,
            ended=self._ended,
            log=log.line,
            clock=clock,
            pump=self._pump,
            spawn=self._spawn,
        )
        self._loss = LossWatch(bus, self.floor, log.line, self._spawn, on_broken)
        self._rebuild = Rebuild(
            loss=self._loss,
            bus=bus,
            scheduler=self.scheduler,
            intake=self._intake,
            floor=self.floor,
            records=self.records,
            journal=journal,
            cleaner=self.cleaner,
            reading=self.reading,
            lost=self._lost,
            log=log.line,
            clock=clock,
            pump=self._pump,
            spawn=self._spawn,
        )
        self._bounces: set[int] = set()  # numbers of bounces that are being put
        self._tasks: set[asyncio.Task[None]] = set()
        self._pumping = False
        self._stopping = False
        self._idle = asyncio.Event()
        self._load_slots = asyncio.Semaphore(MAX_LOADING)
        self.ready = False

    # Start and end.

    async def start(self, is_first: bool) -> None:
        """Begin: listen to workers, take new mail at once, and rebuild the rest.

        is_first: no delivery runs that another scheduler began."""
        self._unread.tell()
        self._log.line(self.scheduler.status_line())
        await self._read_pause()
        for channel in (LOCAL, REMOTE):
            heard, beat = partial(self._on_reports, channel), partial(self._on_heartbeat, channel)
            await reports.hear_reports(self._bus, channel, heard, partial(self._ignore, "a report"))
            await reports.hear_heartbeats(self._bus, channel, beat, partial(self._ignore, "a heartbeat"))
        await abort.hear(self._bus, lambda message_id: self.cleaner.aborted(message_id, self._is_known))
        old_last = await self._rebuild.begin()
        take = self._loss.of_new(old_last, self._intake.take)
        await self._bus.follow(subjects.IN, subjects.QUEUE_CONSUMER, take, lambda: None, after=old_last)
        self._bus.on_reconnected(self._loss.came_back)
        self._spawn(self._finish_rebuild(0.0 if is_first else LISTEN_SECONDS))
        for work in (self._sweep(), self._clean(), self._relieve()):
            self._spawn(work)

    async def _read_pause(self) -> None:
        try:
            self.scheduler.paused = await read_pause(self._bus)
        except ValueError as error:
            self._log.line(f"alert: {error}; deliveries are not paused")
        if self.scheduler.paused:
            self._log.line("info: deliveries are paused (qmailctl cont)")

    async def _finish_rebuild(self, listen_seconds: float) -> None:
        await self._rebuild.finish(listen_seconds)
        self.ready = True
        self.scheduler.tick(int(self._clock()))
        self._pump()
        self._spawn(self.cleaner.remove_orphans(self._is_known))

    async def stop(self, grace_seconds: float) -> bool:
        """Start nothing more, wait for what runs, store what must be stored (SIGTERM, qmail-send(8)).

        Whether everything ended within the grace: no delivery that we began runs any more."""
        self._stopping = True
        self.scheduler.paused = True
        self._check_idle()
        try:
            await asyncio.wait_for(self._idle.wait(), grace_seconds)
            await asyncio.wait_for(self.records.settled(), 5.0)
        except TimeoutError:
            self._log.line("info: deliveries go on without us; the next scheduler adopts them")
        self.outbox.send()
        for task in self._tasks:
            task.cancel()
        self._log.line("status: exiting")
        return self.ready and not self.scheduler.running()

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the scheduler", exc_info=error)
            self._log.line(f"alert: unforeseen: {type(error).__name__}: {error}; starting anew")
            self._on_broken()

    # What comes in.

    def _ignore(self, what: str, error: Malformed) -> None:
        self._log.line(f"alert: {what} is ignored: {error}")

    def _on_reports(self, channel: str, group: ReportGroup) -> None:
        told = group.reports
        if not self._rebuild.done:
            told = tuple(report for report in told if report.id in self.scheduler.messages)
        self.scheduler.report(channel, group.worker, told, self._clock())
        for message_id in {report.id for report in group.reports if report.letter == MISSING}:
            self._spawn(self._lost.look(message_id))
        self._check_idle()
        self._pump()

    def _on_heartbeat(self, channel: str, beat: Heartbeat) -> None:
        uptime = time.monotonic()
        if beat.stopping:
            self._workers[channel].pop(beat.worker, None)
        else:
            self._workers[channel][beat.worker] = uptime
        accepting = bool(self._workers[channel])
        if accepting != self.scheduler.accepting_work[channel]:
            self.scheduler.accepting_work[channel] = accepting
            self._pump()
        if not self._rebuild.done:
            self._rebuild.hear(channel, beat.worker, beat.running)
        self.scheduler.heartbeat(channel, beat.worker, beat.running, uptime)
        if channel == LOCAL:
            self.scheduler.slowed(beat.slow, uptime)

    def _is_known(self, message_id: int) -> bool:
        return self._intake.is_queued(message_id) or message_id in self._bounces

    # Time.

    async def _sweep(self) -> None:
        """Once a second: what is due, and workers that fell silent."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now, uptime = self._clock(), time.monotonic()
            late, last = uptime - last > LATE_SECONDS, uptime
            for channel, workers in self._workers.items():
                for worker in [w for w, heard in workers.items() if uptime - heard > SILENCE_SECONDS]:
                    del workers[worker]
                self.scheduler.accepting_work[channel] = bool(workers)
            if late or not self._bus.connected:
                # It is us who did not hear: what the workers said meanwhile comes after this.
                self.scheduler.excuse(uptime)
            elif self._rebuild.done:
                self.scheduler.lose(now, uptime)
            self._check_idle()
            self._pump()

    async def _clean(self) -> None:
        """Once a second: what is done with. Apart from the rest, since it waits for the bus."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._rebuild.done:
                await self.cleaner.sweep()

    async def _relieve(self) -> None:
        """Once a second: what keeps the floors from rising. Apart from the cleaning, which makes the room for it."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._rebuild.done:
                await self._keeper.relieve(self._clock())
                with suppress(TemporaryError):
                    await self._mover.relieve()

    def is_quiet(self) -> bool:
        """Whether nothing is under way: no delivery, no record, no bounce; what is queued waits for its time."""
        under_way = self._pumping or self.scheduler.loading or self.scheduler.running() or self.records.is_busy()
        bouncing = any(message.bouncing for message in self.scheduler.messages.values())
        return self.ready and not (under_way or bouncing or self.outbox.is_busy())

    def _check_idle(self) -> None:
        if self._stopping and not self.scheduler.running():
            self._idle.set()

    def _pump(self) -> None:
        if not self._pumping and not self._stopping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pumping = False
        if self._rebuild.done:
            self.scheduler.tick(int(self._clock()))
        self.scheduler.pump(time.monotonic())

    # The scheduler's effects.

    def log(self, line: str) -> None:
        """One line in qmail's words."""
        self._log.line(line)

    def start_job(self, channel: str, job: Job) -> None:
        """Give a job to a worker."""
        self.outbox.job(channel, job)

    def recipient_done(self, message: Message, number: int, channel: str, worker: str, report: Report) -> None:
        """A line in the next done record, then a confirmation; the last of a message that has ended cleans up."""
        self._undone_records[message.id] = self._undone_records.get(message.id, 0) + 1

        def stored() -> None:
            self.outbox.confirm(channel, worker, report)
            left = self._undone_records[message.id] - 1
            if left:
                self._undone_records[message.id] = left
                return
            del self._undone_records[message.id]
            if message.is_done() and not message.saved:
                self.cleaner.clean(message)

        self.records.add_done(message, number, stored, urgent=channel == REMOTE)

    def save(self, message: Message, channel: str, worker: str, reports: list[Report]) -> None:
        """Store the state record, then confirm the reports; what only waits then need not stay in memory."""

        def stored() -> None:
            for report in reports:
                self.outbox.confirm(channel, worker, report)
            asyncio.get_running_loop().call_soon(self._keeper.let_sleep, message)

        self.records.save(message, stored)

    def confirm(self, channel: str, worker: str, report: Report) -> None:
        """Confirm a report that changes nothing, once nothing about the message is on its way to the disk."""
        if report.id not in self._undone_records and not self.records.is_saving(report.id):
            self.outbox.confirm(channel, worker, report)

    def ended(self, message: Message) -> None:
        """Nothing is left to do: record it, then clean up."""
        self._ended.add(message.id, time.monotonic())
        if message.saved or not message.envelope.recipients:
            self._rebuild.ended(message.id)
            # A state record that came after the record of the end would live again at the next start.
            clean = lambda: self.cleaner.clean(message)
            self.records.after_saving(message.id, lambda: self.records.add_done(message, ALL, clean, urgent=True))

    def bounce(self, message: Message) -> None:
        """Have the bounce writer put the bounce, as often as it takes."""
        self._spawn(self._bounce(message))

    async def _bounce(self, message: Message) -> None:
        if not message.bounce_id:
            message.bounce_id = await self._next_id()
            stored = asyncio.Event()
            self.records.save(message, stored.set)
            await stored.wait()
        # Tried again for long, its pieces look as if nobody went on with them.
        self._bounces.add(message.bounce_id)
        line = await self._desk.bounce(message)
        self._bounces.discard(message.bounce_id)
        if line is None:
            self._lost.set_aside(message)
        else:
            self.scheduler.bounced(message, line)

    async def _next_id(self) -> int:
        while True:
            try:
                return self._ids.next()
            except NoNumbers:
                # The bus was away for long; numbers come with it.
                await asyncio.sleep(RETRY_SECONDS)

    def load(self, message_id: int) -> None:
        """Read a sleeping message's state record."""
        self._spawn(self._load(message_id))

    async def _load(self, message_id: int) -> None:
        async with self._load_slots:
            message = await self.reading.readable_state(message_id)
        if message is None:
            self.scheduler.lost_asleep(message_id)
            return
        self.scheduler.wake(message, int(self._clock()))
        self._pump()

    # The administrator.

    def flush(self) -> None:
        """`qmailctl flush`: everything that waits is due now, and no host counts as down (qmail-tcpok)."""
        flush.tell(self._bus)
        self.scheduler.flush(int(self._clock()))
        self._pump()

    async def pause(self, paused: bool) -> None:
        """`qmailctl pause` and `cont`: accept mail, start no deliveries; whoever schedules after us goes by it, too.

        Raises TemporaryError where that cannot be stored; what was asked for holds for this scheduler alone then."""
        self.scheduler.paused = paused
        self._pump()
        await store_pause(self._bus, paused=paused)

    def reload(self) -> list[str]:
        """`qmailctl reload`: take the control files as they are now, or say what is wrong and keep all the old."""
        self._unread.tell()
        if faults := self._control.faults(files_of("queue", Taken.RELOAD)):
            return faults
        try:
            self.scheduler.obey(read_order(self._control))
        except ControlError as error:
            return [str(error)]
        self._pump()
        return []
