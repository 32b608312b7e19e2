"""What the workers say, and those who gave a submission up: from the bus to the scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from qmail.bus.talk import abort
from qmail.bus.talk.messages import Malformed
from qmail.control.routing import LOCAL, REMOTE
from qmail.queue.deliveries import Heartbeat, ReportGroup
from qmail.queue.talk import reports
from services.queue.decide import events
from services.queue.run.driver import Driver
from services.queue.run.rebuild import Rebuild


class Inbox:
    """Hears the workers. `ended` is called when deliveries have ended."""

    def __init__(self, driver: Driver, rebuild: Rebuild, ended: Callable[[], None]) -> None:
        self._driver, self._rebuild, self._ended = driver, rebuild, ended

    async def open(self) -> None:
        """Hear from now on. Raises BusDown."""
        bus = self._driver.context.bus
        for channel in (LOCAL, REMOTE):
            heard, beat = partial(self._on_reports, channel), partial(self._on_heartbeat, channel)
            await reports.hear_reports(bus, channel, heard, partial(self._ignore, "a report"))
            await reports.hear_heartbeats(bus, channel, beat, partial(self._ignore, "a heartbeat"))
        cleaner = self._driver.store.cleaner
        await abort.hear(bus, lambda message_id: cleaner.aborted(message_id, self._driver.has))

    def _ignore(self, what: str, error: Malformed) -> None:
        self._driver.context.log(f"alert: {what} is ignored: {error}")

    def _on_reports(self, channel: str, group: ReportGroup) -> None:
        self._driver.step(events.Reported(channel, group, self._driver.context.now()))
        self._ended()
        self._driver.proceed()

    def _on_heartbeat(self, channel: str, beat: Heartbeat) -> None:
        if not self._driver.scheduler.rebuilt:
            self._rebuild.hear(channel, beat.running)
        self._driver.step(events.Beat(channel, beat, time.monotonic()))
