"""What the scheduler asks of the bounce writer, who alone may read bodies here: bounces, and copies in HOLD."""

from __future__ import annotations

import asyncio
import json
from enum import Enum

from qmail.bus import subjects
from qmail.bus.ports import TemporaryError
from qmail.message.envelope import encode_envelope
from services.queue.context import Context
from services.queue.decide.message import QueuedMessage

TIMEOUT_SECONDS = 120.0
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
        while True:
            try:
                answer = await self._ask(subjects.BOUNCE, _bounce_request(message, lost=lost))
            except TemporaryError as error:
                answer = {"error": str(error)}
            if answer.get("ok"):
                break
            if answer.get("missing") and not message.failed:
                return None
            if answer.get("missing") and not lost:
                lost = True
                self._log(f"alert: the body of a message is gone, it bounces without: {message.id}: {answer['error']}")
                continue
            self._log(f"unable to bounce msg {message.id}: {answer.get('error')}; will try again")
            await asyncio.sleep(RETRY_SECONDS)
        if answer.get("discarded"):
            return f"triple bounce: discarding bounce/{message.id}"
        return f"bounce msg {message.id} qp {message.bounce_id}"

    async def hold(self, message: QueuedMessage) -> Copied:
        """Have a message copied to HOLD once."""
        return await self._keep({"id": message.id, "place": message.place.as_list()})

    async def hold_record(self, record: int) -> None:
        """Have a record of IN that nobody can read copied to HOLD as it is, as often as it takes."""
        while True:
            if await self._keep({"id": record, "place": None}) is not Copied.LATER:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _keep(self, request: dict[str, object]) -> Copied:
        try:
            answer = await self._ask(subjects.KEEP, request)
        except TemporaryError:
            return Copied.LATER
        if answer.get("missing"):
            self._log(
                f"alert: the body of a message is gone, there is nothing to keep: {request['id']}: {answer['error']}"
            )
            return Copied.GONE
        return Copied.DONE if answer.get("ok") else Copied.LATER

    async def _ask(self, subject: str, request: dict[str, object]) -> dict[str, object]:
        answer = await self._bus.request(subject, json.dumps(request).encode(), TIMEOUT_SECONDS)
        found: dict[str, object] = json.loads(answer)
        return found


def _bounce_request(message: QueuedMessage, *, lost: bool) -> dict[str, object]:
    """docs/formats.md. Made anew for each try: meanwhile HOLD may have the message."""
    request: dict[str, object] = {
        "id": message.id,
        "held": message.held,
        "place": message.place.as_list(),
        "bounce_id": message.bounce_id,
        "text": message.bounce.decode("latin-1"),
    }
    if lost:
        request["envelope"] = encode_envelope(message.envelope).decode("ascii")
    return request
