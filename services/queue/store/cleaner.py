"""Forgetting what is done with, qmail-clean's work: IN and JOURNAL by their floors, HOLD and BODY one by one.

Order: done record, then envelope, then body, and the records of JOURNAL last (design.md section 5); a crash between
two steps leaves something that the next start removes, never a message without its record.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from qmail.bus import subjects
from qmail.bus.ports import TemporaryError
from qmail.bus.talk.abort import GIVEN_UP_SECONDS
from services.queue.context import Context
from services.queue.decide.message import QueuedMessage
from services.queue.store.floor import PURGE_MESSAGES, Floor
from services.queue.store.journal import Journal

# A purge happens at the latest this long after the floor rose.
PURGE_SECONDS = 5.0
# Between an abort and the removal: the record that commits, if there is one, has come by then.
ABORT_SECONDS = 20.0
# A removal is on the disk after this time, though nobody says so: then the records that guard against its undoing, by
# a loss of power, may go as well. More than the kernel's and the file systems' own 30 s.
SETTLE_SECONDS = 60.0
# Between two looks for half-stored bodies. What has not grown from one to the next was given up by whoever stored it,
# and so long before that a commit that was under way then has come through.
ORPHAN_SECONDS = GIVEN_UP_SECONDS + 300.0


class Cleaner:
    """What the queue role removes, and when."""

    def __init__(self, context: Context, floor: Floor, journal: Journal) -> None:
        self._context, self._bus = context, context.bus
        self._floor, self._journal = floor, journal
        self._bodies: deque[tuple[int, int]] = deque()  # (sequence in IN, id) of ended messages with chunks
        self._one_by_one: deque[tuple[int, bool]] = deque()  # (id, has chunks) of ended messages that HOLD has
        self._copies: deque[int] = deque()  # ids of those whose copy in HOLD came too late
        self._purged_at = 0.0  # by the loop's clock
        self._settling: deque[tuple[float, int]] = deque()  # (when it was noted, a floor of JOURNAL)
        self._journal_purged = 0
        self.settle_seconds = SETTLE_SECONDS

    def clean(self, message: QueuedMessage) -> None:
        """The message has ended and its done record is stored."""
        envelope = message.envelope
        large = envelope.chunk_count > 0 or len(envelope.recipients) > 100
        if not message.held:
            self._floor.dead(message.sequence, message.id)
            if large:
                self._bodies.append((message.sequence, message.id))
        else:
            self._one_by_one.append((message.id, large))
        if message.saved:
            self._journal.state_ended(message.state_sequence)

    def forget_held(self, message_id: int) -> None:
        """A message that ended before a restart, of which HOLD may still have the copy."""
        self._one_by_one.append((message_id, True))

    def forget_copy(self, message_id: int) -> None:
        """HOLD has a copy of a message that ended meanwhile. Nothing else of it goes with the copy: whether its done
        record is stored is not known here."""
        self._copies.append(message_id)

    async def sweep(self) -> None:
        """Remove what can be removed; called once a second."""
        now = asyncio.get_running_loop().time()
        try:
            await self._remove_one_by_one()
            due = self._floor.purgeable() >= PURGE_MESSAGES or now - self._purged_at > PURGE_SECONDS
            if due:
                await self._purge(now)
            await self._purge_journal(now)
        except TemporaryError:
            # The bus is away; everything is still noted here and tried again in a second.
            return

    async def _remove_one_by_one(self) -> None:
        while self._copies:
            await self._bus.purge(subjects.HOLD, subjects.hold(self._copies[0]))
            self._copies.popleft()
        while self._one_by_one:
            message_id, chunks = self._one_by_one[0]
            await self._bus.purge(subjects.HOLD, subjects.hold(message_id))
            if chunks:
                await self._remove_body(message_id)
            self._one_by_one.popleft()

    async def _remove_body(self, message_id: int) -> None:
        await self._bus.purge(subjects.BODY, subjects.whole_body(message_id))
        await self._bus.purge(subjects.BODY, subjects.large_envelope(message_id))

    async def _purge(self, now: float) -> None:
        floor, self._purged_at = self._floor.floor(), now
        if self._floor.purgeable() > 0:
            await self._bus.purge(subjects.IN, below_sequence=floor)
            self._floor.purged(floor)
        while self._bodies and self._bodies[0][0] < floor:
            await self._remove_body(self._bodies[0][1])
            self._bodies.popleft()
        if not self._one_by_one:
            self._journal.release_done(floor)
        self._settle()

    def _settle(self) -> None:
        """Note what of JOURNAL may go as soon as all that was removed so far is on the disk."""
        floor = self._journal.floor()
        if floor > (self._settling[-1][1] if self._settling else self._journal_purged):
            self._settling.append((asyncio.get_running_loop().time(), floor))

    async def _purge_journal(self, now: float) -> None:
        """Only up to a floor that was noted before the lease was last ours for certain: what another scheduler has
        written since lies above it, however long this process stood still meanwhile."""
        ripe = min(now - self.settle_seconds, self._context.held_at())
        floor = max((floor for noted, floor in self._settling if noted < ripe), default=0)
        if floor:
            await self._bus.purge(subjects.JOURNAL, below_sequence=floor)
            self._journal_purged = floor
            while self._settling and self._settling[0][1] <= floor:
                self._settling.popleft()

    def aborted(self, message_id: int, is_known: Callable[[int], bool]) -> None:
        """A submission was given up; its chunks go, unless its record was stored after all."""
        asyncio.get_running_loop().call_later(
            ABORT_SECONDS, lambda: asyncio.ensure_future(self._remove_aborted(message_id, is_known))
        )

    async def _remove_aborted(self, message_id: int, is_known: Callable[[int], bool]) -> None:
        if is_known(message_id):
            return
        try:
            # Its commit may have come through though the answer did not.
            if not await self._is_committed(message_id):
                await self._remove_body(message_id)
        except TemporaryError:
            return  # remove_orphans finds it later

    async def remove_orphans(self, is_known: Callable[[int], bool]) -> None:
        """Now and then: what was stored of messages that were never committed and cannot be any more."""
        seen: dict[int, int] = {}
        while True:
            try:
                seen = await self._look_for_orphans(seen, is_known)
            except TemporaryError:
                self._context.log("info: unable to look for half-stored bodies; will try again")
            await asyncio.sleep(ORPHAN_SECONDS)

    async def _look_for_orphans(self, seen: dict[int, int], is_known: Callable[[int], bool]) -> dict[int, int]:
        """Remove what has not grown since it was `seen`; how many pieces there are now of what may still grow."""
        first = await self._bus.subjects(subjects.BODY, subjects.FIRST_CHUNKS)
        found = {
            subjects.id_of(subject)
            for subject in [*first, *await self._bus.subjects(subjects.BODY, subjects.LARGE_ENVELOPES)]
        }
        growing: dict[int, int] = {}
        for message_id in found:
            if is_known(message_id) or await self._is_committed(message_id):
                continue
            pieces = len(await self._bus.subjects(subjects.BODY, subjects.whole_body(message_id)))
            if seen.get(message_id) == pieces:
                await self._remove_body(message_id)
                self._context.log(f"info: removed the half-stored body of {message_id}")
            else:
                growing[message_id] = pieces
        return growing

    async def _is_committed(self, message_id: int) -> bool:
        """Whether IN or HOLD names the message; asked of the streams' subjects, not of their contents."""
        for stream, subject in (
            (subjects.IN, subjects.accepted(message_id)),
            (subjects.HOLD, subjects.hold(message_id)),
        ):
            if await self._bus.subjects(stream, subject):
                return True
        return False
