"""From a message with failures to its bounce: the number first, on stable storage, then the bounce under that number,
then the end of the message. Begun once more after a crash, the bounce is not put twice."""

from __future__ import annotations

import asyncio

from qmail.message.ids import IdSource, NoNumbers
from services.queue.decide import events
from services.queue.decide.message import QueuedMessage
from services.queue.run.driver import Driver
from services.queue.run.missing import MissingMessages

RETRY_SECONDS = 2.0


class Bouncer:
    """Has bounces written."""

    def __init__(self, driver: Driver, ids: IdSource, missing: MissingMessages) -> None:
        self._driver, self._ids, self._missing = driver, ids, missing

    async def bounce(self, message: QueuedMessage) -> None:
        """As often as it takes."""
        driver = self._driver
        if not message.bounce_id:
            message.bounce_id = await self._next_id()
            await driver.store.records.saved(message)
        driver.bounces.add(message.bounce_id)
        line = await driver.bounce_writer.bounce(message)
        driver.bounces.discard(message.bounce_id)
        if line is None:
            self._missing.set_aside(message)
        else:
            driver.step(events.Bounced(message, line))

    async def _next_id(self) -> int:
        while True:
            try:
                return self._ids.next()
            except NoNumbers:
                # The bus was away for long; numbers come with it.
                await asyncio.sleep(RETRY_SECONDS)
