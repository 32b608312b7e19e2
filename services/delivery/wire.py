"""What a delivery worker and the scheduler say to each other (docs/formats.md: job, report, heartbeat, confirm)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from qmail.queue.record_position import Place

VERSION = 1


@dataclass(frozen=True, slots=True)
class Job:
    """One delivery to make; (id, number, attempt) is its name, `held` says that HOLD has the message, `place` where IN
    has it."""

    id: int
    number: int
    attempt: int
    held: bool
    place: Place
    sender: bytes
    recipient: bytes

    @property
    def recipient_key(self) -> tuple[int, int]:
        """Whom it is for, whichever attempt it is."""
        return self.id, self.number

    @property
    def key(self) -> tuple[int, int, int]:
        """The job's name."""
        return self.id, self.number, self.attempt


@dataclass(frozen=True, slots=True)
class JobGroup:
    """Jobs of one scheduler, whose epoch tells an old one from a new one."""

    epoch: int
    jobs: tuple[Job, ...]


def decode_jobs(payload: bytes) -> JobGroup:
    """A `job.<channel>` message. Raises ValueError for anything else."""
    try:
        f = json.loads(payload)
        if f["v"] != VERSION:
            raise ValueError(f"job group version {f['v']}; expected {VERSION}")
        jobs = tuple(
            Job(i, n, a, held, Place(*place), sender.encode("latin-1"), recipient.encode("latin-1"))
            for i, n, a, held, place, sender, recipient in f["jobs"]
        )
        return JobGroup(f["epoch"], jobs)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a job group: {error}") from error


def encode_reports(worker: str, reports: Iterable[tuple[tuple[int, int, int], str, bytes]]) -> bytes:
    """A `report.<channel>` message from (job name, letter, text) rows."""
    rows = [[*key, letter, text.decode("latin-1")] for key, letter, text in reports]
    return json.dumps({"v": VERSION, "worker": worker, "reports": rows}).encode("ascii")


def encode_heartbeat(
    worker: str,
    running: Iterable[tuple[int, int, int]],
    *,
    stopping: bool = False,
    slow: Collection[tuple[int, int]] = (),
) -> bytes:
    """A `heartbeat.<channel>` message; `stopping`: the worker takes no more jobs; `slow`: message and recipient
    number of the jobs that take long."""
    f: dict[str, object] = {"v": VERSION, "worker": worker, "running": list(running)}
    if stopping:
        f["stopping"] = True
    if slow:
        f["slow"] = list(slow)
    return json.dumps(f).encode("ascii")


def decode_confirmed(payload: bytes) -> list[tuple[int, int, int]]:
    """The job names of a `confirm.<channel>.<worker>` message. Raises ValueError for anything else."""
    try:
        return [(i, n, a) for i, n, a in json.loads(payload)["confirmed"]]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a confirmation: {error}") from error
