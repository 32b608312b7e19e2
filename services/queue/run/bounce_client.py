"""What the scheduler asks of the bounce writer, who alone may read bodies here: bounces, and copies in HOLD."""

from __future__ import annotations

import asyncio
from enum import Enum

from services.queue.bounce import talk
from services.queue.bounce.talk import BounceRequest, CopyRequest
from services.queue.context import Context
from services.queue.decide.message import QueuedMessage

RETRY_SECONDS = 2.0


class Copied(Enum):
    """What became of a wish to have something in HOLD."""

    DONE = "it is there"
    GONE = "there is nothing to copy"
    LATER = "it was not possible"


class BounceClient:
    """Asks, and asks again."""

    def __init__(self, context: Context) -> None:
        self._bus, self._log = context.bus, context.log

    async def bounce(self, message: QueuedMessage) -> str | None:
        """Have the bounce of a message put, as often as it takes; the log line that says what became of it.

        Where its body is gone it bounces without, if it has failed in this very life of ours; None if that is only what
        a record says, which may be older than the message's end."""
        lost = False
        while not (answer := await talk.ask_bounce(self._bus, _bounce_request(message, lost=lost))).ok:
            if answer.missing and not message.failed:
                return None
            if answer.missing and not lost:
                lost = True
                self._log(f"alert: the body of a message is gone, it bounces without: {message.id}: {answer.error}")
                continue
            self._log(f"unable to bounce msg {message.id}: {answer.error}; will try again")
            await asyncio.sleep(RETRY_SECONDS)
        if answer.discarded:
            return f"triple bounce: discarding bounce/{message.id}"
        return f"bounce msg {message.id} qp {message.bounce_id}"

    async def hold(self, message: QueuedMessage) -> Copied:
        """Have a message copied to HOLD once."""
        return await self._copy(CopyRequest(message.id, message.position))

    async def hold_record(self, record: int) -> None:
        """Have a record of IN that nobody can read copied to HOLD as it is, as often as it takes."""
        while True:
            if await self._copy(CopyRequest(record, None)) is not Copied.LATER:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _copy(self, request: CopyRequest) -> Copied:
        answer = await talk.ask_copy(self._bus, request)
        if answer.missing:
            self._log(f"alert: the body of a message is gone, there is nothing to keep: {request.id}: {answer.error}")
            return Copied.GONE
        return Copied.DONE if answer.ok else Copied.LATER


def _bounce_request(message: QueuedMessage, *, lost: bool) -> BounceRequest:
    """Made anew for each try: meanwhile HOLD may have the message."""
    return BounceRequest(
        id=message.id,
        held=message.held,
        position=message.position,
        bounce_id=message.bounce_id,
        paragraphs=message.bounce,
        envelope=message.envelope if lost else None,
    )
