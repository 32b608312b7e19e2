"""The scheduler at work: what happens goes in as an event, and what follows from it is carried out in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from qmail.control.routing import REMOTE
from services.queue.context import Context
from services.queue.decide import effects, events
from services.queue.decide.message import QueuedMessage
from services.queue.decide.recently_ended import RecentlyEnded
from services.queue.decide.scheduler import Scheduler
from services.queue.run.bounce_client import BounceClient
from services.queue.run.outbox import Outbox
from services.queue.store.records import ALL
from services.queue.store.store import Store

MAX_READING = 256


class Driver:
    """One scheduler and the world that it decides for."""

    def __init__(self, context: Context, scheduler: Scheduler) -> None:
        self.context, self.scheduler = context, scheduler
        self.store = Store(context)
        self.outbox = Outbox(context)
        self.bounce_writer = BounceClient(context)
        self.recently_ended = RecentlyEnded()
        # Numbers of bounces that are being put: tried for long, their pieces look as if nobody went on with them.
        self.bounces: set[int] = set()
        # Messages with a state record that ended before the rebuild did.
        self.ended_early: set[int] = set()
        # Messages that somebody works on, which must stay in memory.
        self.kept: set[int] = set()
        self.stopping = False
        self._proceeding = False
        self._read_slots = asyncio.Semaphore(MAX_READING)
        self._carry_out: dict[type[effects.Effect], Callable[[Any], object]] = {
            effects.Log: self._log,
            effects.StartJob: lambda e: self.outbox.job(e.channel, e.job),
            effects.Confirm: lambda e: self.outbox.confirm(e.channel, e.worker, e.report),
            effects.StoreDone: self._store_done,
            effects.StoreState: lambda e: self.store.records.save(e.message, lambda: self.step(events.Stored(e))),
            effects.StoreEnd: self._store_end,
            effects.Clean: lambda e: self.store.cleaner.clean(e.message),
            effects.Forget: lambda e: self.recently_ended.add(e.message_id, time.monotonic()),
            effects.Read: lambda e: context.spawn(self._read(e.message_id)),
            # Once the record that was stored counts as such.
            effects.LetSleep: lambda e: asyncio.get_running_loop().call_soon(self.let_sleep, e.message),
        }

    def carry_out(self, kind: type[effects.Effect], do: Callable[[Any], object]) -> None:
        """An effect that others carry out."""
        self._carry_out[kind] = do

    def step(self, event: events.Event) -> None:
        """Something has happened. Raises what `Scheduler.step` raises; nothing is carried out then."""
        for effect in self.scheduler.step(event):
            self._carry_out[type(effect)](effect)

    def proceed(self) -> None:
        """Start what can be started, at the end of this turn of the loop."""
        if not self._proceeding and not self.stopping:
            self._proceeding = True
            asyncio.get_running_loop().call_soon(self._proceed)

    def _proceed(self) -> None:
        self._proceeding = False
        self.step(events.Proceed(self.context.now(), time.monotonic()))

    def is_busy(self) -> bool:
        """Whether anything is under way but what waits for its time."""
        scheduler = self.scheduler
        bouncing = any(message.bouncing for message in scheduler.messages.values())
        deciding = self._proceeding or scheduler.loading or scheduler.running() or bouncing
        return bool(deciding) or self.store.records.is_busy() or self.outbox.is_busy()

    def has(self, message_id: int) -> bool:
        """Whether a message is in the queue, or is a bounce that is about to be."""
        return self.scheduler.has(message_id) or message_id in self.bounces

    # What takes more than a call.

    def _log(self, effect: effects.Log) -> None:
        for line in effect.lines:
            self.context.log(line)

    def _store_done(self, effect: effects.StoreDone) -> None:
        # A local success that is not recorded finds its own copy in the Maildir; a remote one cannot.
        urgent = effect.confirm.channel == REMOTE
        stored = lambda: self.step(events.Stored(effect))
        self.store.records.add_done(effect.message, effect.number, stored, urgent=urgent)

    def _store_end(self, effect: effects.StoreEnd) -> None:
        records, message = self.store.records, effect.message
        if not self.scheduler.rebuilt:
            self.ended_early.add(message.id)
        stored = lambda: self.step(events.Stored(effect))
        # A state record that came after the record of the end would live again at the next start.
        records.after_saving(message.id, lambda: records.add_done(message, ALL, stored, urgent=True))

    async def _read(self, message_id: int) -> None:
        async with self._read_slots:
            message = await self.store.reading.readable_state(message_id)
        if message is None:
            self.step(events.SetAside(message_id))
        else:
            self.step(events.Woken(message, self.context.now()))
            self.proceed()

    async def in_memory(self, message_id: int) -> QueuedMessage | None:
        """A message of the queue, read where it sleeps; None where it is not there any more, or is being read."""
        if self.scheduler.step(events.Needed(message_id)):
            await self._read(message_id)
        return self.scheduler.messages.get(message_id)

    def let_sleep(self, message: QueuedMessage) -> None:
        """A message that only waits need not stay in memory, unless something of it is on its way to the disk."""
        if message.id not in self.kept and not self.store.records.is_saving(message.id):
            self.step(events.Slept(message))
