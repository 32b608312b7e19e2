"""Copying to HOLD what waits in IN, so that IN's floor can pass it (docs/decisions/0002)."""

from __future__ import annotations

import asyncio

from qmail.message.ids import milliseconds_of
from services.queue.decide.message import QueuedMessage
from services.queue.run.bounce_client import Copied
from services.queue.run.driver import Driver
from services.queue.run.missing import MissingMessages
from services.queue.store.floor import BLOCKED_MESSAGES, BLOCKER_SECONDS

COPY_AT_ONCE = 64
# Between two looks.
RELIEVE_SECONDS = 5.0


class HoldCopier:
    """Has messages copied, one step of safety after the other: the copy, the record that tells of it, the floor."""

    def __init__(self, driver: Driver, missing: MissingMessages) -> None:
        self._driver, self._missing = driver, missing
        self._floor = driver.store.floor
        self._relieved_at = float("-inf")

    async def relieve(self) -> None:
        """Copy to HOLD what keeps the floor from rising; called once a second."""
        at = asyncio.get_running_loop().time()
        if self._floor.blocked() < BLOCKED_MESSAGES or at - self._relieved_at < RELIEVE_SECONDS:
            return
        self._relieved_at = at
        now = self._driver.context.clock()
        for _, message_id in self._floor.oldest(COPY_AT_ONCE):
            if now - milliseconds_of(message_id) / 1000 < BLOCKER_SECONDS:
                return
            await self._copy(message_id)

    async def _copy(self, message_id: int) -> None:
        message = await self._driver.in_memory(message_id)
        if message is None or message.held:
            return
        self._driver.kept.add(message_id)
        try:
            await self._hold(message)
        finally:
            self._driver.kept.discard(message_id)
            self._driver.let_sleep(message)

    async def _hold(self, message: QueuedMessage) -> None:
        driver = self._driver
        copied = await driver.bounce_writer.hold(message)
        if driver.scheduler.messages.get(message.id) is not message:
            # It ended meanwhile, and nobody knows of the copy.
            driver.store.cleaner.forget_copy(message.id)
            return
        if copied is not Copied.LATER:
            # Without a body there is still what the record says.
            message.held, message.saved = copied is Copied.DONE, True
            await driver.store.records.saved(message)
            self._floor.dead(message.sequence, message.id)
        if copied is Copied.GONE:
            await self._missing.look(message.id)
