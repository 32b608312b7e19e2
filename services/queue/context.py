"""What every part of a scheduler's process works with: the bus, the log, the clock, and its tasks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from qmail.bus.ports import Bus
from qmail.log.log import Log

_log = logging.getLogger(__name__)


class Context:
    """One scheduler's world."""

    def __init__(
        self,
        *,
        bus: Bus,
        log: Log,
        epoch: int,
        held_at: Callable[[], float],
        on_broken: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """epoch: the revision of the lease; held_at: see Lease; clock: the time of day.

        `on_broken` is called when work that never ends has ended by a fault of ours: memory may be wrong, and a new
        start makes it anew from the streams."""
        self.bus, self.log, self.notices = bus, log.line, log.notices
        self.epoch, self.held_at, self.begin_anew, self.clock = epoch, held_at, on_broken, clock
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> int:
        """Whole seconds since the epoch."""
        return int(self.clock())

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """A task whose failure is noticed."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the scheduler", exc_info=error)
            self.log(f"alert: unforeseen: {type(error).__name__}: {error}; starting anew")
            self.begin_anew()

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
