"""Reading messages where the streams have them, as often as it takes; what is not there or not to be understood."""

from __future__ import annotations

import asyncio

from qmail.bus import subjects
from qmail.bus.ports import Stored, TemporaryError
from qmail.message.envelope import Envelope, EnvelopeError, decode_envelope
from qmail.queue.deliveries import RecordPosition
from qmail.queue.record_position import read_positions
from services.queue.context import Context
from services.queue.decide.message import QueuedMessage, decode_state

RETRY_SECONDS = 2.0


class Reading:
    """The scheduler's eyes on IN, BODY and JOURNAL."""

    def __init__(self, context: Context) -> None:
        self._bus, self._log = context.bus, context.log

    async def accepted(self, stored: Stored) -> list[tuple[Envelope, RecordPosition]]:
        """The messages of a record of IN, envelopes in records of their own included. Raises EnvelopeError."""
        return [
            (envelope or await self._large(position.record), position) for envelope, position in read_positions(stored)
        ]

    async def _large(self, message_id: int) -> Envelope:
        subject = subjects.large_envelope(message_id)
        found = await self._last(subjects.BODY, subject)
        if found is None:
            raise EnvelopeError(f"{subject} is missing")
        return decode_envelope(found.payload)

    async def state(self, message_id: int) -> QueuedMessage | None:
        """The message of a state record, None where there is none. Raises EnvelopeError."""
        stored = await self._last(subjects.JOURNAL, subjects.state(message_id))
        if stored is None:
            return None
        message = decode_state(stored.payload)
        message.state_sequence = stored.sequence
        return message

    async def readable_state(self, message_id: int) -> QueuedMessage | None:
        """The message of a state record; None, and an alert, where there is none that can be read."""
        try:
            message = await self.state(message_id)
        except EnvelopeError as error:
            self._log(f"alert: unreadable record, left where it is: state.{message_id}: {error}")
            return None
        if message is None:
            self._log(f"alert: state record of msg {message_id} is gone")
        return message

    async def _last(self, stream: str, subject: str) -> Stored | None:
        while True:
            try:
                return await self._bus.last(stream, subject)
            except TemporaryError:
                await asyncio.sleep(RETRY_SECONDS)
