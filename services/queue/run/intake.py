"""From IN to the scheduler: each message once, and what cannot be understood out of the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine

from qmail.bus.ports import Stored
from qmail.message.envelope import Envelope, EnvelopeError
from qmail.queue.record_position import Place, read_places
from services.queue.decide.recently_ended import RecentlyEnded
from services.queue.decide.scheduler import Scheduler
from services.queue.run.bounce_client import BounceDesk
from services.queue.store.floor import Floor
from services.queue.store.reading import Reading

_log = logging.getLogger(__name__)


class Intake:
    """Takes the records of IN."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        floor: Floor,
        reading: Reading,
        desk: BounceDesk,
        ended: RecentlyEnded,
        log: Callable[[str], None],
        clock: Callable[[], float],
        pump: Callable[[], None],
        spawn: Callable[[Coroutine[object, object, None]], object],
    ) -> None:
        """`pump` is called when something may be started; `spawn` starts a task and notices its failure."""
        self._scheduler, self._floor, self._reading, self._desk = scheduler, floor, reading, desk
        self._ended, self._log, self._clock, self._pump, self._spawn = ended, log, clock, pump, spawn

    def take(self, stored: Stored) -> None:
        """A record that came."""
        try:
            found = read_places(stored)
        except EnvelopeError as error:
            self._set_aside(stored, error)
            return
        for envelope, place in found:
            if envelope is None:
                self._floor.add(stored.sequence, place.record)
                self._spawn(self._accept_large(stored))
            else:
                self._accept(envelope, place)

    async def _accept_large(self, stored: Stored) -> None:
        for envelope, place in await self.read(stored):
            self._accept(envelope, place)

    def _accept(self, envelope: Envelope, place: Place) -> None:
        if envelope.id in self._ended or self.is_queued(envelope.id):
            # Stored once more, because the first acknowledgement was lost.
            self._floor.seen(place.sequence)
            return
        self._floor.add(place.sequence, envelope.id)
        self.schedule(envelope, place)
        self._pump()

    def is_queued(self, message_id: int) -> bool:
        """Whether the scheduler has the message."""
        return message_id in self._scheduler.messages or message_id in self._scheduler.asleep

    def schedule(self, envelope: Envelope, place: Place) -> bool:
        """Whether the scheduler took a message. One that it cannot take must not keep the others: it stays in IN."""
        try:
            self._scheduler.accept(envelope, place, int(self._clock()))
        except Exception as error:
            _log.exception("msg %d", envelope.id)
            self._log(f"alert: a message is not scheduled: {envelope.id}: {type(error).__name__}: {error}")
            return False
        return True

    async def read(self, stored: Stored) -> list[tuple[Envelope, Place]]:
        """The messages of a record; none where one cannot be understood."""
        try:
            return await self._reading.accepted(stored)
        except EnvelopeError as error:
            self._set_aside(stored, error)
            return []

    def _set_aside(self, stored: Stored, error: Exception) -> None:
        """An unreadable record goes to HOLD, for the administrator to look at: it must not stop IN's floor."""
        number = stored.subject.partition(".")[2]
        if not number.isdigit():
            self._log(f"alert: a record is ignored: {error}")
            return
        self._log(f"alert: unreadable record, to be found in HOLD: {stored.subject}: {error}")
        self._floor.add(stored.sequence, int(number))
        self._spawn(self.hold_record(int(number), stored.sequence, int(number)))

    async def hold_record(self, record: int, sequence: int, message_id: int) -> None:
        """Copy a record to HOLD as it is; then the floor need not wait for the message."""
        await self._desk.hold_record(record)
        self._floor.dead(sequence, message_id)
