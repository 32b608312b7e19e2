"""The queue role on the bus: one scheduler from its start to its end, and what the administrator asks of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from qmail.bus import subjects
from qmail.bus.ports import TemporaryError
from qmail.bus.talk import flush
from qmail.control.files import Control, ControlError
from qmail.control.table import Taken, files_of
from qmail.message.address import Address
from qmail.message.ids import IdSource
from services.queue.context import Context
from services.queue.decide import effects, events
from services.queue.decide.scheduler import Scheduler
from services.queue.decide.shares import itself
from services.queue.run.bouncer import Bouncer
from services.queue.run.driver import Driver
from services.queue.run.hold_copier import HoldCopier
from services.queue.run.inbox import Inbox
from services.queue.run.intake import Intake
from services.queue.run.missing import MissingMessages
from services.queue.run.mover import Mover
from services.queue.run.rebuild import Rebuild
from services.queue.run.unread import UnreadFiles
from services.queue.settings import read_controls
from services.queue.store.gaps import GapWatch
from services.queue.store.pause import read_pause, store_pause

# What ran before us is adopted if its worker names it within this time; nothing old is started before.
LISTEN_SECONDS = 5.0
SWEEP_SECONDS = 1.0
# A sweep so much later than the one before means that this process stood still.
LATE_SECONDS = 3.0
# For the records of what has ended, at the end.
SETTLE_SECONDS = 5.0


class QueueService:
    """One scheduler at work; it holds the lease while this object lives."""

    def __init__(
        self,
        context: Context,
        control: Control,
        ids: IdSource,
        account_of: Callable[[Address], bytes] = itself,
    ) -> None:
        """Raises ControlError. account_of: whose mailbox the address of a local delivery is."""
        self._context, self._control = context, control
        self._unread = UnreadFiles(control.directory, context.notices)
        self.scheduler = Scheduler(read_controls(control), account_of)
        self.driver = driver = Driver(context, self.scheduler)
        self.store = driver.store
        self._gaps = GapWatch(context, self.store.floor)
        missing, self._intake = MissingMessages(driver), Intake(driver)
        bouncer = Bouncer(driver, ids, missing)
        driver.carry_out(effects.WriteBounce, lambda effect: context.spawn(bouncer.bounce(effect.message)))
        driver.carry_out(effects.LookFor, lambda effect: context.spawn(missing.look(effect.message_id)))
        self._rebuild = Rebuild(driver, self._intake, missing, self._gaps)
        self._inbox = Inbox(driver, self._rebuild, self._check_idle)
        self._hold_copier, self._mover = HoldCopier(driver, missing), Mover(driver)
        self._idle = asyncio.Event()
        self.ready = False

    # Start and end.

    async def start(self, *, is_first: bool) -> None:
        """Begin: listen to workers, take new mail at once, and rebuild the rest.

        is_first: no delivery runs that another scheduler began."""
        context, bus = self._context, self._context.bus
        self._unread.tell()
        context.log(self.scheduler.status_line())
        await self._read_pause()
        await self._inbox.open()
        old_last = await self._rebuild.begin()
        take = self._gaps.of_new(old_last, self._intake.take)
        await bus.follow(subjects.IN, subjects.QUEUE_CONSUMER, take, lambda: None, after=old_last)
        bus.on_reconnected(self._gaps.came_back)
        context.spawn(self._finish_rebuild(0.0 if is_first else LISTEN_SECONDS))
        for work in (self._sweep(), self._clean(), self._relieve()):
            context.spawn(work)

    async def _read_pause(self) -> None:
        try:
            paused = await read_pause(self._context.bus)
        except ValueError as error:
            self._context.log(f"alert: {error}; deliveries are not paused")
            return
        if paused:
            self.driver.step(events.Paused(paused=True))
            self._context.log("info: deliveries are paused (qmailctl cont)")

    async def _finish_rebuild(self, listen_seconds: float) -> None:
        await self._rebuild.finish(listen_seconds)
        self.ready = True
        self.driver.proceed()
        self._context.spawn(self.store.cleaner.remove_orphans(self.driver.has))

    async def stop(self, grace_seconds: float) -> bool:
        """Start nothing more, wait for what runs, store what must be stored (SIGTERM, qmail-send(8)).

        Whether everything ended within the grace: no delivery that we began runs any more."""
        self.driver.stopping = True
        self.driver.step(events.Paused(paused=True))
        self._check_idle()
        try:
            await asyncio.wait_for(self._idle.wait(), grace_seconds)
            await asyncio.wait_for(self.store.records.settled(), SETTLE_SECONDS)
        except TimeoutError:
            self._context.log("info: deliveries go on without us; the next scheduler adopts them")
        self.driver.outbox.send()
        self._context.cancel()
        self._context.log("status: exiting")
        return self.ready and not self.scheduler.running()

    def _check_idle(self) -> None:
        if self.driver.stopping and not self.scheduler.running():
            self._idle.set()

    def is_quiet(self) -> bool:
        """Whether nothing is under way: no delivery, no record, no bounce; what is queued waits for its time."""
        return self.ready and not self.driver.is_busy()

    # Time.

    async def _sweep(self) -> None:
        """Once a second: what is due, and workers that fell silent."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            monotonic = time.monotonic()
            late, last = monotonic - last > LATE_SECONDS, monotonic
            deaf = late or not self._context.bus.connected
            self.driver.step(events.SecondPassed(self._context.now(), monotonic, deaf))
            self._check_idle()

    async def _clean(self) -> None:
        """Once a second: what is done with. Apart from the rest, since it waits for the bus."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self.scheduler.rebuilt:
                await self.store.cleaner.sweep()

    async def _relieve(self) -> None:
        """Once a second: what keeps the floors from rising. Apart from the cleaning, which makes the room for it."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self.scheduler.rebuilt:
                await self._hold_copier.relieve()
                with suppress(TemporaryError):
                    await self._mover.relieve()

    # The administrator.

    def flush(self) -> None:
        """`qmailctl flush`: everything that waits is due now, and no host counts as down (qmail-tcpok)."""
        flush.tell(self._context.bus)
        self.driver.step(events.Flushed(self._context.now()))
        self.driver.proceed()

    async def pause(self, *, paused: bool) -> None:
        """`qmailctl pause` and `cont`: accept mail, start no deliveries; whoever schedules after us goes by it, too.

        Raises TemporaryError where that cannot be stored; what was asked for holds for this scheduler alone then."""
        self.driver.step(events.Paused(paused))
        self.driver.proceed()
        await store_pause(self._context.bus, paused=paused)

    def reload(self) -> list[str]:
        """`qmailctl reload`: take the control files as they are now, or say what is wrong and keep all the old."""
        self._unread.tell()
        if faults := self._control.faults(files_of("queue", Taken.RELOAD)):
            return faults
        try:
            self.driver.step(events.Reloaded(read_controls(self._control)))
        except ControlError as error:
            return [str(error)]
        self.driver.proceed()
        return []
