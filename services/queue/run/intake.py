"""From IN to the scheduler: each message once, and what cannot be understood out of the way."""

from __future__ import annotations

import logging
from collections.abc import Set

from qmail.bus.ports import Stored
from qmail.message.envelope import Envelope, EnvelopeError
from qmail.queue.deliveries import RecordPosition
from qmail.queue.record_position import read_positions
from services.queue.decide import events
from services.queue.run.driver import Driver

_log = logging.getLogger(__name__)


class Intake:
    """Takes the records of IN."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._context, self._floor = driver, driver.context, driver.store.floor

    def take(self, stored: Stored) -> None:
        try:
            found = read_positions(stored)
        except EnvelopeError as error:
            self._set_aside(stored, error)
            return
        for envelope, position in found:
            if envelope is None:
                self._floor.add(stored.sequence, position.record)
                self._context.spawn(self._accept_large(stored))
            else:
                self._accept(envelope, position)

    async def _accept_large(self, stored: Stored) -> None:
        for envelope, position in await self.read(stored):
            self._accept(envelope, position)

    def _accept(self, envelope: Envelope, position: RecordPosition) -> None:
        if envelope.id in self._driver.recently_ended or self._driver.scheduler.has(envelope.id):
            # Stored once more, because the first acknowledgement was lost.
            self._floor.seen(position.sequence)
            return
        self._floor.add(position.sequence, envelope.id)
        self.schedule(envelope, position)
        self._driver.proceed()

    def schedule(self, envelope: Envelope, position: RecordPosition, done: Set[int] = frozenset()) -> None:
        """Have a message scheduled, but for recipients that are done. One that the scheduler cannot take must not keep
        the others: it stays in IN."""
        try:
            self._driver.step(events.Accepted(envelope, position, self._context.now(), done))
        except Exception as error:
            _log.exception("msg %d", envelope.id)
            self._context.log(f"alert: a message is not scheduled: {envelope.id}: {type(error).__name__}: {error}")

    async def read(self, stored: Stored) -> list[tuple[Envelope, RecordPosition]]:
        """The messages of a record; none where one cannot be understood."""
        try:
            return await self._driver.store.reading.accepted(stored)
        except EnvelopeError as error:
            self._set_aside(stored, error)
            return []

    def _set_aside(self, stored: Stored, error: Exception) -> None:
        """An unreadable record goes to HOLD, for the administrator to look at: it must not stop IN's floor."""
        number = stored.subject.partition(".")[2]
        if not number.isdigit():
            self._context.log(f"alert: a record is ignored: {error}")
            return
        self._context.log(f"alert: unreadable record, to be found in HOLD: {stored.subject}: {error}")
        self._floor.add(stored.sequence, int(number))
        self._context.spawn(self.hold_record(int(number), stored.sequence, int(number)))

    async def hold_record(self, record: int, sequence: int, message_id: int) -> None:
        """Copy a record to HOLD as it is; then the floor need not wait for the message."""
        await self._driver.bounce_writer.hold_record(record)
        self._floor.dead(sequence, message_id)
