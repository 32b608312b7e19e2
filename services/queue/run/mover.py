"""Writing state records anew at JOURNAL's end, so that its floor can pass what nobody needs (store.journal).

Mostly nothing is to do: each attempt at a waiting message writes its record at the end by itself.
"""

from __future__ import annotations

import asyncio

from qmail.bus import subjects
from services.queue.run.driver import Driver

AT_ONCE = 64
# Between two looks.
RELIEVE_SECONDS = 5.0
# Of JOURNAL's bytes; then more is written anew to save room.
NEARLY_FULL = 0.75


class Mover:
    """Moves what holds JOURNAL's floor."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._bus = driver, driver.context.bus
        self._journal, self._records = driver.store.journal, driver.store.records
        self._relieved_at = float("-inf")

    async def relieve(self) -> None:
        """Called once a second. Raises BusDown."""
        now = asyncio.get_running_loop().time()
        if now - self._relieved_at < RELIEVE_SECONDS:
            return
        self._relieved_at = now
        info = await self._bus.info(subjects.JOURNAL)
        nearly_full = 0 < info.max_bytes * NEARLY_FULL < info.bytes
        while self._journal.is_crowded(nearly_full=nearly_full):
            rows = self._journal.oldest_states(AT_ONCE)
            moved = await asyncio.gather(*(self._move(sequence, message_id) for sequence, message_id in rows))
            if not any(moved):
                return  # a done record holds the floor, or what is on its way; both go by themselves

    async def _move(self, sequence: int, message_id: int) -> bool:
        """Whether the record at `sequence` is not needed any more."""
        message = await self._driver.in_memory(message_id)
        if message is None:
            # What is not apart ends at this moment.
            return message_id in self._journal.apart and await self._copy(sequence, message_id)
        if message.state_sequence != sequence:
            self._journal.state_is_elsewhere(sequence)
            return True
        await self._records.saved(message)
        self._driver.let_sleep(message)
        return True

    async def _copy(self, sequence: int, message_id: int) -> bool:
        stored = await self._bus.last(subjects.JOURNAL, subjects.state(message_id))
        if stored is None or stored.sequence != sequence:
            self._journal.state_is_elsewhere(sequence)
        else:
            await self._records.copy(message_id, stored.payload, sequence)
        return True
