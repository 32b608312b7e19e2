"""Jobs and confirmations on their way to the workers: jobs go at the end of the turn of the loop, whatever waits
together; confirmations gather a little, since nobody waits for one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from qmail.queue.deliveries import Confirmation, Job, Report
from qmail.queue.talk import jobs, reports
from services.queue.context import Context

# Far less than the 2 s after which a worker repeats a report.
CONFIRM_SECONDS = 0.05


class Outbox:
    """What goes to the workers."""

    def __init__(self, context: Context) -> None:
        self._bus, self._epoch = context.bus, context.epoch
        self._jobs: dict[str, list[Job]] = defaultdict(list)
        self._confirmations: dict[tuple[str, str], list[Report]] = defaultdict(list)
        self._scheduled = False
        self._confirming = False

    def job(self, channel: str, job: Job) -> None:
        """Give a job to any worker of the channel."""
        self._jobs[channel].append(job)
        self._schedule()

    def confirm(self, channel: str, worker: str, report: Report) -> None:
        """Tell a worker that it need not repeat a report."""
        self._confirmations[channel, worker].append(report)
        if not self._confirming:
            self._confirming = True
            asyncio.get_running_loop().call_later(CONFIRM_SECONDS, self._send_confirmations)

    def send(self) -> None:
        """Send what waits at once: whoever ends must not keep its confirmations."""
        self._send_jobs()
        self._send_confirmations()

    def is_busy(self) -> bool:
        return self._scheduled or self._confirming

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send_jobs)

    def _send_jobs(self) -> None:
        self._scheduled = False
        for channel, waiting in self._jobs.items():
            jobs.give(self._bus, channel, self._epoch, waiting)
        self._jobs.clear()

    def _send_confirmations(self) -> None:
        self._confirming = False
        for (channel, worker), stored in self._confirmations.items():
            confirmation = Confirmation(self._epoch, tuple(report.key for report in stored))
            reports.confirm(self._bus, channel, worker, confirmation)
        self._confirmations.clear()
