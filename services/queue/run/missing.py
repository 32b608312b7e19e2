"""Messages that a state record tells of and no stream has (docs/decisions/0008).

Either they ended and something brought the record back, or the disk is damaged: nobody knows whom they have reached.
So nobody is written to, neither the recipients nor the sender, and the administrator is told all that is known. The
record stays, and is looked at again at each start in case the message comes back, until its time is over.
"""

from __future__ import annotations

import asyncio

from qmail.bus import subjects
from qmail.bus.ports import TemporaryError
from qmail.message.address import Address
from qmail.message.printable import printable
from services.queue.decide import events
from services.queue.decide.message import QueuedMessage
from services.queue.run.driver import Driver

RETRY_SECONDS = 2.0
# So many recipients are named in an alert; the record has all.
NAMED = 20


class MissingMessages:
    """Looks for messages, and sets aside what is nowhere."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._bus = driver, driver.context.bus

    async def look(self, message_id: int) -> None:
        """Look for a message that somebody could not find, as often as it takes; one that is nowhere is set aside, and
        so is one that nobody could read until its time was over."""
        scheduler = self._driver.scheduler
        message = scheduler.messages.get(message_id)
        if message is None and message_id in scheduler.asleep:
            message = await self._driver.store.reading.readable_state(message_id)
        if message is not None and (self._is_over(message) or not await self._is_there(message)):
            self.set_aside(message)

    async def _is_there(self, message: QueuedMessage) -> bool:
        while True:
            try:
                return await self._holds(message)
            except TemporaryError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _holds(self, message: QueuedMessage) -> bool:
        """Asked of the streams' subjects, not of their contents."""
        records = (
            (subjects.HOLD, subjects.hold(message.id)),
            (subjects.IN, subjects.accepted(message.position.record)),
        )
        if not any([await self._bus.subjects(stream, subject) for stream, subject in records]):
            return False
        chunks = message.envelope.chunk_count
        return not chunks or len(await self._bus.subjects(subjects.BODY, subjects.whole_body(message.id))) >= chunks

    def set_aside(self, message: QueuedMessage) -> None:
        """Neither try a message nor bounce it; say so."""
        driver, context, store = self._driver, self._driver.context, self._driver.store
        message = driver.scheduler.messages.get(message.id, message)
        if not driver.scheduler.can_set_aside(message.id):
            return  # something of it runs, and its report leads here again
        driver.step(events.SetAside(message.id))
        store.floor.dead(message.sequence, message.id)
        if self._is_over(message):
            context.log(f"alert: {_described(message)}; its time is over, it is given up")
            driver.step(events.GivenUp(message))
        else:
            store.journal.apart.add(message.id)
            context.notices.stands(f"lost {message.id}", f"{_described(message)}; it is not tried again")

    def _is_over(self, message: QueuedMessage) -> bool:
        return self._driver.scheduler.is_over(message, self._driver.context.now())


def _described(message: QueuedMessage) -> str:
    undone = sorted(number for channel in message.channels.values() for number in channel.undone)
    left = ", ".join(f"<{printable(message.addresses.get(number, Address(b'')).raw)}>" for number in undone[:NAMED])
    more = f" and {len(undone) - NAMED} more" if len(undone) > NAMED else ""
    failed = " and with failures that its sender may not know of" if message.bounce else ""
    sender = printable(message.envelope.sender.raw)
    return (
        f"msg {message.id} from <{sender}> is nowhere on the bus, with {left or 'nobody'}"
        f"{more} left{failed}; whether it arrived is not known, nobody is told"
    )
