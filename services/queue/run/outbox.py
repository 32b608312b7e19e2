"""Jobs and confirmations on their way to the workers: jobs go at the end of the turn of the loop, whatever waits
together; confirmations gather a little, since nobody waits for one.

Formats: docs/formats.md, `job.<channel>` and `confirm.<channel>.<worker>`.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass

from qmail.bus import subjects
from qmail.bus.ports import Bus
from services.queue.decide.ports import Job, Report

GROUP_JOBS = 16
# Far less than the 2 s after which a worker repeats a report.
CONFIRM_SECONDS = 0.05


class Outbox:
    """What goes to the workers, jobs in groups of at most 16."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.epoch = 0
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
        """Whether something waits to be sent."""
        return self._scheduled or self._confirming

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send_jobs)

    def _send_jobs(self) -> None:
        self._scheduled = False
        for channel, jobs in self._jobs.items():
            for start in range(0, len(jobs), GROUP_JOBS):
                group = jobs[start : start + GROUP_JOBS]
                self._bus.publish(subjects.job(channel), encode_jobs(self.epoch, group))
        self._jobs.clear()

    def _send_confirmations(self) -> None:
        self._confirming = False
        for (channel, worker), reports in self._confirmations.items():
            keys = [[r.id, r.number, r.attempt] for r in reports]
            payload = json.dumps({"v": 1, "epoch": self.epoch, "confirmed": keys}).encode()
            self._bus.publish(subjects.confirm(channel, worker), payload)
        self._confirmations.clear()


def encode_jobs(epoch: int, jobs: list[Job]) -> bytes:
    """A group of jobs as a worker reads it (services/delivery/wire.py)."""
    rows = [
        [
            j.id,
            j.number,
            j.attempt,
            j.held,
            j.place.as_list(),
            j.sender.decode("latin-1"),
            j.recipient.decode("latin-1"),
        ]
        for j in jobs
    ]
    return json.dumps({"v": 1, "epoch": epoch, "jobs": rows}).encode("ascii")


def decode_reports(payload: bytes) -> tuple[str, list[Report]]:
    """Worker and reports of a `report.<channel>` message. Raises ValueError for anything else."""
    try:
        f = json.loads(payload)
        reports = [Report(i, n, a, letter, t.encode("latin-1")) for i, n, a, letter, t in f["reports"]]
        return str(f["worker"]), reports
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a report: {error}") from error


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker, its running jobs, whether it takes no more, and which jobs (message and recipient number) are slow."""

    worker: str
    running: list[tuple[int, int, int]]
    stopping: bool = False
    slow: tuple[tuple[int, int], ...] = ()


def decode_heartbeat(payload: bytes) -> Heartbeat:
    """A `heartbeat.<channel>` message. Raises ValueError for anything else."""
    try:
        f = json.loads(payload)
        running = [(int(i), int(n), int(a)) for i, n, a in f["running"]]
        slow = tuple((int(i), int(n)) for i, n in f.get("slow", ()))
        return Heartbeat(str(f["worker"]), running, bool(f.get("stopping", False)), slow)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a heartbeat: {error}") from error
