"""Copying to HOLD what waits in IN, so that IN's floor can pass it (docs/decisions/0002)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from qmail.message.ids import milliseconds_of
from services.queue.decide.message import Message
from services.queue.decide.scheduler import Scheduler
from services.queue.run.bounce_client import BounceDesk, Copied
from services.queue.store.floor import BLOCKED_MESSAGES, BLOCKER_SECONDS, Floor
from services.queue.store.records import Records

KEEP_AT_ONCE = 64
# Between two looks.
RELIEVE_SECONDS = 5.0


class Keeper:
    """Has messages copied, one step of safety after the other: the copy, the record that tells of it, the floor."""

    def __init__(
        self,
        *,
        desk: BounceDesk,
        floor: Floor,
        records: Records,
        scheduler: Scheduler,
        load: Callable[[int], Awaitable[None]],
        forget_copy: Callable[[int], None],
        look: Callable[[int], Awaitable[None]],
    ) -> None:
        """`load` reads a sleeping message into the scheduler's memory, `forget_copy` has one removed from HOLD, `look`
        looks for one that is not where it should be."""
        self._desk, self._floor, self._load, self._forget_copy, self._look = desk, floor, load, forget_copy, look
        self._records, self._scheduler = records, scheduler
        self._keeping: set[int] = set()
        self._relieved_at = float("-inf")

    async def relieve(self, now: float) -> None:
        """Copy to HOLD what keeps the floor from rising; called once a second with the time of day."""
        uptime = asyncio.get_running_loop().time()
        if self._floor.blocked() < BLOCKED_MESSAGES or uptime - self._relieved_at < RELIEVE_SECONDS:
            return
        self._relieved_at = uptime
        for _, message_id in self._floor.oldest(KEEP_AT_ONCE):
            if now - milliseconds_of(message_id) / 1000 < BLOCKER_SECONDS:
                return
            await self._keep(message_id)

    async def _keep(self, message_id: int) -> None:
        if message_id in self._scheduler.asleep and message_id not in self._scheduler.loading:
            self._scheduler.loading.add(message_id)
            await self._load(message_id)
        message = self._scheduler.messages.get(message_id)
        if message is None or message.held:
            return
        self._keeping.add(message_id)
        try:
            await self._hold(message)
        finally:
            self._keeping.discard(message_id)
            self.let_sleep(message)

    async def _hold(self, message: Message) -> None:
        copied = await self._desk.hold(message)
        if self._scheduler.messages.get(message.id) is not message:
            # It ended meanwhile, and nobody knows of the copy.
            self._forget_copy(message.id)
            return
        if copied is not Copied.LATER:
            # Without a body there is still what the record says.
            message.held, message.saved = copied is Copied.DONE, True
            stored = asyncio.Event()
            self._records.save(message, stored.set)
            await stored.wait()
            self._floor.dead(message.sequence, message.id)
        if copied is Copied.GONE:
            await self._look(message.id)

    def let_sleep(self, message: Message) -> None:
        """A message that only waits need not stay in memory, unless something of it is on its way to the disk."""
        if not self._records.is_saving(message.id) and message.id not in self._keeping:
            self._scheduler.sleep(message)
