"""Whether IN still has what it had: a log without single removals has no gaps, and never goes back.

A gap is a record that the server has and cannot read; one that went back was cut off. What the scheduler knows of IN
would be wrong then, and the numbers are given out again: it begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qmail.bus import subjects
from qmail.bus.ports import Stored, StreamInfo, TemporaryError
from qmail.bus.talk import lost
from services.queue.context import Context
from services.queue.store.floor import Floor

RETRY_SECONDS = 2.0
MAX_NAMED = 20


class Gaps:
    """Sequences that one reader did not see; it begins after a sequence."""

    def __init__(self, after: int) -> None:
        self.last = after

    def saw(self, sequence: int) -> tuple[int, int] | None:
        """What lies between the last one and this."""
        missing = (self.last + 1, sequence - 1) if sequence > self.last + 1 else None
        self.last = max(self.last, sequence)
        return missing


class GapWatch:
    """IN as its readers see it."""

    def __init__(self, context: Context, floor: Floor) -> None:
        self._context, self._bus, self._floor = context, context.bus, floor
        self._last: Stored | None = None
        self._old = Gaps(0)

    def of_new(self, after: int, take: Callable[[Stored], None]) -> Callable[[Stored], None]:
        """`take`, for what comes after a sequence, with every record looked at before."""
        return self._looking(Gaps(after), take)

    def begin_old(self, info: StreamInfo) -> None:
        """IN as it was when we began."""
        self._old = Gaps(info.first_sequence - 1 if info.messages else info.last_sequence)

    def of_old(self, take: Callable[[Stored], None]) -> Callable[[Stored], None]:
        """`take`, for what there was then; begun once more, it is read from its beginning."""
        return self._looking(self._old, take)

    def old_is_read(self, last: int) -> None:
        """All of it was read, up to its last sequence."""
        if last > self._old.last:
            self._miss(self._old.last + 1, last)

    def _looking(self, gaps: Gaps, take: Callable[[Stored], None]) -> Callable[[Stored], None]:
        def look(stored: Stored) -> None:
            if self._last is None or stored.sequence > self._last.sequence:
                self._last = stored
            if (missing := gaps.saw(stored.sequence)) is not None:
                self._miss(*missing)
            take(stored)

        return look

    def _miss(self, first: int, last: int) -> None:
        self._context.spawn(self._tell(first, last))

    async def _tell(self, first: int, last: int) -> None:
        """admin remembers it until somebody acknowledges; as often as it takes."""
        # Another scheduler, which did not know yet that it was none any more, may have purged what it was done with.
        first = max(first, await self._first())
        if first > last:
            return
        self._context.log(f"alert: records of IN cannot be read: {first} to {last}")
        while True:
            try:
                await lost.tell(self._bus, [(first, last)])
                return
            except TemporaryError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _first(self) -> int:
        while True:
            try:
                return (await self._bus.info(subjects.IN)).first_sequence
            except (TemporaryError, KeyError):
                await asyncio.sleep(RETRY_SECONDS)

    def came_back(self) -> None:
        """The bus was away: it may have forgotten what came last."""
        if self._last is not None:
            self._context.spawn(self._look_back(self._last))

    async def _look_back(self, last: Stored) -> None:
        while True:
            try:
                end = (await self._bus.info(subjects.IN)).last_sequence
                # Below the floor it may have been removed by ourselves.
                gone = self._floor.floor() <= last.sequence and not await self._is_there(last)
                break
            except (TemporaryError, KeyError):
                await asyncio.sleep(RETRY_SECONDS)
        if end < last.sequence or gone:
            needed = self._floor.needed_after(min(end, last.sequence - 1))
            names = " ".join(map(str, needed[:MAX_NAMED]))
            more = f" and {len(needed) - MAX_NAMED} more" if len(needed) > MAX_NAMED else ""
            self._context.log(
                f"alert: IN has gone back from {last.sequence} to {end}; not delivered: msg {names or 'none'}{more}"
            )
            self._context.begin_anew()

    async def _is_there(self, stored: Stored) -> bool:
        return bool(await self._bus.subjects(subjects.IN, stored.subject))
