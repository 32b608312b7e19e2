"""What the scheduler asks of the bounce writer, who alone may read bodies here: bounces, and copies in HOLD."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from qmail.bus import subjects
from qmail.bus.ports import Bus, TemporaryError
from services.queue.message import Message

TIMEOUT_SECONDS = 120.0
RETRY_SECONDS = 2.0


class BounceDesk:
    """Asks, and asks again. `log` takes what went wrong."""

    def __init__(self, bus: Bus, log: Callable[[str], None]) -> None:
        self._bus, self._log = bus, log

    async def bounce(self, message: Message) -> str:
        """Have the bounce of a message put, as often as it takes; the log line that says what became of it."""
        request = {
            "id": message.id,
            "held": message.held,
            "place": message.place.as_list(),
            "bounce_id": message.bounce_id,
            "text": message.bounce.decode("latin-1"),
        }
        payload = json.dumps(request).encode()
        while True:
            try:
                answer = json.loads(await self._bus.request(subjects.BOUNCE, payload, TIMEOUT_SECONDS))
                if answer.get("ok"):
                    break
                trouble = str(answer.get("error"))
            except TemporaryError as error:
                trouble = str(error)
            self._log(f"unable to bounce msg {message.id}: {trouble}; will try again")
            await asyncio.sleep(RETRY_SECONDS)
        if answer.get("discarded"):
            return f"triple bounce: discarding bounce/{message.id}"
        return f"bounce msg {message.id} qp {message.bounce_id}"

    async def hold(self, message: Message) -> bool:
        """Have a message copied to HOLD once; whether it is there now."""
        return await self._keep({"id": message.id, "place": message.place.as_list()})

    async def hold_record(self, record: int) -> None:
        """Have a record of IN that nobody can read copied to HOLD as it is, as often as it takes."""
        while True:
            if await self._keep({"id": record, "place": None}):
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _keep(self, request: dict[str, object]) -> bool:
        try:
            answer = await self._bus.request(subjects.KEEP, json.dumps(request).encode(), TIMEOUT_SECONDS)
        except TemporaryError:
            return False
        return bool(json.loads(answer).get("ok"))
