"""`job.<channel>`: deliveries to make, given by the scheduler to the delivery workers of a channel.

Where no worker is there a job is lost: nobody reports it running, and the scheduler defers it after
`qmail.queue.deliveries.SILENCE_SECONDS`. A worker obeys no epoch that is lower than one it has seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from qmail.bus.ports import Bus, Subscription
from qmail.bus.talk.messages import WORKERS, flag, hear, require_version, require_whole, strict, whole
from qmail.message.address import Address
from qmail.queue.deliveries import Job, JobGroup, RecordPosition

SUBJECTS: Final = ("job.*",)
VERSION: Final = 1
#: Jobs of one message at most; no timer gathers them.
GROUP_JOBS: Final = 16


def subject(channel: str) -> str:
    """By which the jobs of a channel travel; channel is `local` or `remote`."""
    return f"job.{channel}"


def encode(group: JobGroup) -> bytes:
    """The message (docs/formats.md; tests/golden/job-1.json)."""
    rows = [
        [
            j.id,
            j.number,
            j.attempt,
            j.held,
            j.position.as_list(),
            j.sender.raw.decode("latin-1"),
            j.recipient.raw.decode("latin-1"),
        ]
        for j in group.jobs
    ]
    return json.dumps({"v": VERSION, "epoch": group.epoch, "jobs": rows}).encode("ascii")


@strict("a job group")
def decode(payload: bytes) -> JobGroup:
    """Raises Malformed."""
    f = json.loads(payload)
    require_version(f, VERSION)
    return JobGroup(whole(f["epoch"]), tuple([_job(*row) for row in f["jobs"]]))


def _job(
    message_id: int, number: int, attempt: int, held: object, position: Sequence[int], sender: str, recipient: str
) -> Job:
    require_whole(message_id, number, attempt, *position)
    addresses = Address(sender.encode("latin-1")), Address(recipient.encode("latin-1"))
    return Job(message_id, number, attempt, flag(held), RecordPosition(*position), *addresses)


def give(bus: Bus, channel: str, epoch: int, jobs: Sequence[Job]) -> None:
    """The scheduler's end: give jobs to any workers of the channel."""
    for start in range(0, len(jobs), GROUP_JOBS):
        bus.publish(subject(channel), encode(JobGroup(epoch, tuple(jobs[start : start + GROUP_JOBS]))))


async def take(bus: Bus, channel: str, begin: Callable[[JobGroup], None]) -> Subscription:
    """A worker's end: have its share of the channel's jobs given to `begin`. Raises BusDown."""
    return await hear(bus, subject(channel), decode, begin, group=WORKERS)
