"""The queue role on the bus: carries out the scheduler's effects and brings it what comes in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from qmail.bus import subjects
from qmail.bus.ports import Bus, Follower, Stored
from qmail.bus.ports import Message as BusMessage
from qmail.control import Control, ControlError
from qmail.envelope import Envelope, EnvelopeError
from qmail.ids import IdSource, NoNumbers
from qmail.log import Log
from qmail.place import Place, read_places
from qmail.routing import REMOTE, check_routes, read_routes
from services.queue.bounce_desk import BounceDesk
from services.queue.cleaner import Cleaner
from services.queue.ended import RecentlyEnded
from services.queue.floor import Floor
from services.queue.keeper import Keeper
from services.queue.message import Message
from services.queue.outbox import Outbox, decode_heartbeat, decode_reports
from services.queue.ports import Job, Report
from services.queue.reading import Reading
from services.queue.records import ALL, Records
from services.queue.recovery import Recovery, without_done
from services.queue.scheduler import Scheduler
from services.queue.settings import QueueSettings

_log = logging.getLogger(__name__)

# What ran before us is adopted if its worker names it within this time; nothing old is started before.
LISTEN_SECONDS = 5.0
SWEEP_SECONDS = 1.0
# A sweep so much later than the one before means that this process stood still.
LATE_SECONDS = 3.0
# A worker that has not been heard of for this long is not given work.
WORKER_SECONDS = 6.0
RETRY_SECONDS = 2.0
MAX_LOADING = 256
# Numbers are below 2^63.
MAX_ID_DIGITS = 20


class QueueService:
    """One scheduler at work; it holds the lease while this object lives."""

    def __init__(
        self,
        *,
        bus: Bus,
        control: Control,
        settings: QueueSettings,
        ids: IdSource,
        log: Log,
        epoch: int,
        on_broken: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`on_broken` is called when work that never ends has ended by a fault of ours: memory may be wrong, and a new
        start makes it anew from the streams."""
        self._bus, self._control, self._ids, self._log, self._clock = bus, control, ids, log, clock
        self.outbox = Outbox(bus)
        self.records = Records(bus, log.line, self._spawn)
        self.outbox.epoch = self.records.epoch = epoch
        self.reading = Reading(bus, log.line)
        self._desk = BounceDesk(bus, log.line)
        self.floor = Floor()
        self.scheduler = Scheduler(
            routes=read_routes(control),
            concurrency={"local": settings.concurrency_local, "remote": settings.concurrency_remote},
            lifetime_seconds=settings.lifetime_seconds,
            out=self,
        )
        self._keeper = Keeper(
            bus=bus,
            desk=self._desk,
            floor=self.floor,
            records=self.records,
            scheduler=self.scheduler,
            load=self._load,
        )
        self.cleaner = Cleaner(bus, self.floor, self.records, log.line)
        self._on_broken = on_broken
        self._workers: dict[str, dict[str, float]] = {"local": {}, "remote": {}}
        # While we rebuild: who runs what (channel, worker, attempt), by message and recipient number.
        self._heard: dict[tuple[int, int], tuple[str, str, int]] = {}
        self._undone_records: dict[int, int] = {}
        self._ended = RecentlyEnded()
        self._bounces: set[int] = set()  # numbers of bounces that are being put
        self._recovery: Recovery | None = None
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
        self._log.line(self.scheduler.status_line())
        self._recovery = Recovery((await self._bus.info(subjects.IN)).last_sequence)
        for channel in ("local", "remote"):
            await self._bus.subscribe(subjects.report(channel), self._on_report(channel))
            await self._bus.subscribe(subjects.heartbeat(channel), self._on_heartbeat(channel))
        await self._bus.subscribe(subjects.ABORT, self._on_abort)
        recovery = self._recovery
        states = await self._bus.follow(
            subjects.STATE, subjects.QUEUE_CONSUMER, self._on_state, recovery.state_read.set
        )
        await self._bus.follow(subjects.IN, subjects.QUEUE_CONSUMER, self._on_in, lambda: None, after=recovery.old_last)
        self._spawn(self._rebuild(recovery, states, 0.0 if is_first else LISTEN_SECONDS))
        for work in (self._sweep(), self._clean(), self._relieve()):
            self._spawn(work)

    async def _rebuild(self, recovery: Recovery, states: Follower, listen_seconds: float) -> None:
        await asyncio.gather(recovery.state_read.wait(), asyncio.sleep(listen_seconds))
        # What comes into STATE from now on is our own.
        await states.stop()
        for text in recovery.unreadable:
            self._log.line(f"alert: unreadable record, left where it is: {text}")
        self._take_waiting(recovery, await self._running_of_waiting(recovery))
        await self._take_old(recovery)
        self.cleaner.adopt_done_records(recovery.done_sequences, recovery.sequences)
        self._heard.clear()
        self._recovery = None
        self.floor.complete()
        self.ready = True
        self.scheduler.tick(int(self._clock()))
        self._pump()
        self._spawn(self.cleaner.remove_orphans(self._is_known))

    async def _running_of_waiting(self, recovery: Recovery) -> list[Message]:
        """The messages with state records of which a worker runs a job: they must be in memory to be adopted."""
        named = {message_id for message_id, _ in self._heard if message_id in recovery.waiting}
        return [message for i in sorted(named) if (message := await self.reading.readable_state(i)) is not None]

    def _take_waiting(self, recovery: Recovery, running: list[Message]) -> None:
        """What has a state record sleeps until it is due, but for what runs already."""
        for message_id in recovery.ended_waiting():
            self.cleaner.forget_record(message_id, message_id in recovery.held)
            recovery.waiting.discard(message_id)
        for message_id in self.scheduler.messages:
            recovery.waiting.discard(message_id)
        self.scheduler.adopt_asleep(recovery.waiting, recovery.dues)
        for message in running:
            self.scheduler.wake(message, int(self._clock()))
            self._adopt(message.envelope)

    async def _take_old(self, recovery: Recovery) -> None:
        """What IN held when we began and no state record tells of, in portions."""
        reader = await self._bus.follow(
            subjects.IN, subjects.OLD_CONSUMER, recovery.take_old, recovery.all_read, paced=True
        )
        if recovery.old_last == 0:
            recovery.all_read()
        while portion := await recovery.portion():
            for envelope, place in [pair for stored in portion for pair in await self._read(stored)]:
                self._take_old_message(envelope, place, recovery)
            self._pump()
            await self.records.caught_up()
            reader.go()
        await reader.stop()

    def _take_old_message(self, envelope: Envelope, place: Place, recovery: Recovery) -> None:
        if envelope.id in recovery.done:
            recovery.sequences[envelope.id] = place.sequence
        if recovery.is_ended(envelope.id, envelope) or envelope.id in recovery.held:
            self.floor.seen(place.sequence)
            return
        self.floor.add(place.sequence, envelope.id)
        if envelope.id in recovery.left:
            self._spawn(self._hold_record(place.record, place.sequence, envelope.id))
        elif not self._is_queued(envelope.id) and self._schedule(envelope, place, int(self._clock())):
            if (message := self.scheduler.messages.get(envelope.id)) is not None:
                without_done(message, recovery.done.get(envelope.id, set()))
            self._adopt(envelope)

    def _adopt(self, envelope: Envelope) -> None:
        """What of a message a worker runs already; in the turn in which it was taken, before anything is started."""
        for number in range(len(envelope.recipients)):
            heard = self._heard.get((envelope.id, number))
            if heard is not None:
                channel, worker, attempt = heard
                self.scheduler.adopt(channel, worker, envelope.id, number, attempt, time.monotonic())

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

    def _on_in(self, stored: Stored) -> None:
        try:
            found = read_places(stored)
        except EnvelopeError as error:
            self._set_aside(stored, error)
            return
        for envelope, place in found:
            if envelope is None:
                self.floor.add(stored.sequence, place.record)
                self._spawn(self._accept_large(stored))
            else:
                self._accept(envelope, place)

    def _accept(self, envelope: Envelope, place: Place) -> None:
        if envelope.id in self._ended or self._is_queued(envelope.id):
            # Stored once more, because the first acknowledgement was lost.
            self.floor.seen(place.sequence)
            return
        self.floor.add(place.sequence, envelope.id)
        self._schedule(envelope, place, int(self._clock()))
        self._pump()

    def _schedule(self, envelope: Envelope, place: Place, now: int) -> bool:
        """Whether the scheduler took a message. One that it cannot take must not keep the others: it stays in IN."""
        try:
            self.scheduler.accept(envelope, place, now)
        except Exception as error:
            _log.exception("msg %d", envelope.id)
            self._log.line(f"alert: a message is not scheduled: {envelope.id}: {type(error).__name__}: {error}")
            return False
        return True

    async def _accept_large(self, stored: Stored) -> None:
        for envelope, place in await self._read(stored):
            self._accept(envelope, place)

    async def _read(self, stored: Stored) -> list[tuple[Envelope, Place]]:
        """The messages of a record of IN; none where one cannot be understood."""
        try:
            return await self.reading.accepted(stored)
        except EnvelopeError as error:
            self._set_aside(stored, error)
            return []

    def _set_aside(self, stored: Stored, error: Exception) -> None:
        """An unreadable record goes to HOLD, for the administrator to look at: it must not stop IN's floor."""
        number = stored.subject.partition(".")[2]
        if not number.isdigit():
            self._log.line(f"alert: a record is ignored: {error}")
            return
        self._log.line(f"alert: unreadable record, to be found in HOLD: {stored.subject}: {error}")
        self.floor.add(stored.sequence, int(number))
        self._spawn(self._hold_record(int(number), stored.sequence, int(number)))

    async def _hold_record(self, record: int, sequence: int, message_id: int) -> None:
        """Copy a record of IN to HOLD as it is; then the floor need not wait for the message."""
        await self._desk.hold_record(record)
        self.floor.dead(sequence, message_id)

    def _on_state(self, stored: Stored) -> None:
        if self._recovery is not None and not self._recovery.state_read.is_set():
            self._recovery.take_state(stored)

    def _on_report(self, channel: str) -> Callable[[BusMessage], None]:
        def take(message: BusMessage) -> None:
            try:
                worker, reports = decode_reports(message.payload)
            except ValueError as error:
                self._log.line(f"alert: a report is ignored: {error}")
                return
            if self._recovery is not None:
                known = [r for r in reports if r.id in self.scheduler.messages]
                self.scheduler.report(channel, worker, known, self._clock())
            else:
                self.scheduler.report(channel, worker, reports, self._clock())
            self._check_idle()
            self._pump()

        return take

    def _on_heartbeat(self, channel: str) -> Callable[[BusMessage], None]:
        def take(message: BusMessage) -> None:
            try:
                worker, running, stopping = decode_heartbeat(message.payload)
            except ValueError as error:
                self._log.line(f"alert: a heartbeat is ignored: {error}")
                return
            uptime = time.monotonic()
            if stopping:
                self._workers[channel].pop(worker, None)
            else:
                self._workers[channel][worker] = uptime
            accepting = bool(self._workers[channel])
            if accepting != self.scheduler.accepting_work[channel]:
                self.scheduler.accepting_work[channel] = accepting
                self._pump()
            if self._recovery is not None:
                for message_id, number, attempt in running:
                    self._heard[message_id, number] = (channel, worker, attempt)
            self.scheduler.heartbeat(channel, worker, running, uptime)

        return take

    def _on_abort(self, message: BusMessage) -> None:
        if message.payload.isdigit() and len(message.payload) < MAX_ID_DIGITS:
            self.cleaner.aborted(int(message.payload), self._is_known)

    def _is_queued(self, message_id: int) -> bool:
        return message_id in self.scheduler.messages or message_id in self.scheduler.asleep

    def _is_known(self, message_id: int) -> bool:
        return self._is_queued(message_id) or message_id in self._bounces

    # Time.

    async def _sweep(self) -> None:
        """Once a second: what is due, and workers that fell silent."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now, uptime = self._clock(), time.monotonic()
            late, last = uptime - last > LATE_SECONDS, uptime
            for channel, workers in self._workers.items():
                for worker in [w for w, heard in workers.items() if uptime - heard > WORKER_SECONDS]:
                    del workers[worker]
                self.scheduler.accepting_work[channel] = bool(workers)
            if late or not self._bus.connected:
                # It is us who did not hear: what the workers said meanwhile comes after this.
                self.scheduler.excuse(uptime)
            elif self._recovery is None:
                self.scheduler.lose(now, uptime)
            self._check_idle()
            self._pump()

    async def _clean(self) -> None:
        """Once a second: what is done with. Apart from the rest, since it waits for the bus."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._recovery is None:
                await self.cleaner.sweep()

    async def _relieve(self) -> None:
        """Once a second: what keeps IN's floor from rising. Apart from the cleaning, which makes the room for it."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._recovery is None:
                await self._keeper.relieve(self._clock())

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
        if self._recovery is None:
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
            # A state record that came after the clean-up would rise again at the next start.
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
        self._bus.publish(subjects.FLUSH, b"")
        self.scheduler.flush(int(self._clock()))
        self._pump()

    def pause(self, paused: bool) -> None:
        """`qmailctl pause` and `cont`: accept mail, start no deliveries."""
        self.scheduler.paused = paused
        self._pump()

    def reload(self) -> list[str]:
        """`qmailctl reload`: take new locals and virtualdomains, or say what is wrong and keep the old."""
        try:
            faults = check_routes(self._control)
            if not faults:
                self.scheduler.routes = read_routes(self._control)
            return faults
        except ControlError as error:
            return [str(error)]
