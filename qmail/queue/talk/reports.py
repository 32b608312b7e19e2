"""How deliveries end: a worker's reports, the scheduler's confirmations, and what a worker says it runs.

A worker says every BEAT_SECONDS what it runs; the scheduler defers the jobs of one that has not been heard for
SILENCE_SECONDS. A scheduler that is away confirms nothing: reports are repeated until this one or the next does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from qmail.bus.ports import Bus, Subscription
from qmail.bus.talk.messages import Malformed, flag, hear, require_version, require_whole, strict, text, whole
from qmail.queue.deliveries import Confirmation, Heartbeat, Key, Report, ReportGroup

SUBJECTS: Final = ("report.*", "heartbeat.*", "confirm.*.*")
VERSION: Final = 1
#: Reports of one message at most.
GROUP_REPORTS: Final = 16


def report_subject(channel: str) -> str:
    """By which the reports of a channel travel; channel is `local` or `remote`."""
    return f"report.{channel}"


def encode_reports(group: ReportGroup) -> bytes:
    """The message `report.<channel>` (docs/formats.md; tests/golden/report-1.json)."""
    rows = [[r.id, r.number, r.attempt, r.letter, r.text.decode("latin-1")] for r in group.reports]
    return json.dumps({"v": VERSION, "worker": group.worker, "reports": rows}).encode("ascii")


@strict("a report")
def decode_reports(payload: bytes) -> ReportGroup:
    """Raises Malformed."""
    f = json.loads(payload)
    require_version(f, VERSION)
    return ReportGroup(text(f["worker"]), tuple([_report(*row) for row in f["reports"]]))


def _report(message_id: int, number: int, attempt: int, letter: str, said: str) -> Report:
    require_whole(message_id, number, attempt)
    return Report(message_id, number, attempt, text(letter), said.encode("latin-1"))


def encode_confirmation(confirmation: Confirmation) -> bytes:
    """The message `confirm.<channel>.<worker>` (tests/golden/confirm-1.json)."""
    fields = {"v": VERSION, "epoch": confirmation.epoch, "confirmed": confirmation.confirmed}
    return json.dumps(fields).encode("ascii")


@strict("a confirmation")
def decode_confirmation(payload: bytes) -> Confirmation:
    """Raises Malformed."""
    f = json.loads(payload)
    require_version(f, VERSION)
    return Confirmation(whole(f["epoch"]), tuple(map(_key, f["confirmed"])))


def encode_heartbeat(beat: Heartbeat) -> bytes:
    """The message `heartbeat.<channel>` (tests/golden/heartbeat-1.json)."""
    f: dict[str, object] = {"v": VERSION, "worker": beat.worker, "running": beat.running}
    if beat.stopping:
        f["stopping"] = True
    if beat.slow:
        f["slow"] = beat.slow
    return json.dumps(f).encode("ascii")


@strict("a heartbeat")
def decode_heartbeat(payload: bytes) -> Heartbeat:
    """Raises Malformed."""
    f = json.loads(payload)
    require_version(f, VERSION)
    slow = tuple((whole(message_id), whole(number)) for message_id, number in f.get("slow", ()))
    return Heartbeat(text(f["worker"]), tuple(map(_key, f["running"])), flag(f.get("stopping", False)), slow)


def _key(row: Iterable[int]) -> Key:
    message_id, number, attempt = row
    require_whole(message_id, number, attempt)
    return message_id, number, attempt


# The worker's end.


def report(bus: Bus, channel: str, worker: str, reports: Sequence[Report]) -> None:
    """Tell the scheduler how deliveries ended."""
    for start in range(0, len(reports), GROUP_REPORTS):
        group = ReportGroup(worker, tuple(reports[start : start + GROUP_REPORTS]))
        bus.publish(report_subject(channel), encode_reports(group))


def say_what_runs(bus: Bus, channel: str, beat: Heartbeat) -> None:
    """Tell the scheduler what runs; every BEAT_SECONDS, and when it changes what the scheduler should do."""
    bus.publish(f"heartbeat.{channel}", encode_heartbeat(beat))


async def hear_confirmations(bus: Bus, channel: str, worker: str, take: Callable[[Confirmation], None]) -> Subscription:
    """Have every confirmation for this worker given to `take`. Raises BusDown."""
    return await hear(bus, f"confirm.{channel}.{worker}", decode_confirmation, take)


# The scheduler's end.


async def hear_reports(
    bus: Bus, channel: str, take: Callable[[ReportGroup], None], ignored: Callable[[Malformed], None]
) -> Subscription:
    """Have every report of the channel given to `take`, what is none to `ignored`. Raises BusDown."""
    return await hear(bus, report_subject(channel), decode_reports, take, ignored=ignored)


async def hear_heartbeats(
    bus: Bus, channel: str, take: Callable[[Heartbeat], None], ignored: Callable[[Malformed], None]
) -> Subscription:
    """Have every heartbeat of the channel given to `take`, what is none to `ignored`. Raises BusDown."""
    return await hear(bus, f"heartbeat.{channel}", decode_heartbeat, take, ignored=ignored)


def confirm(bus: Bus, channel: str, worker: str, confirmation: Confirmation) -> None:
    """Tell a worker that what its reports say is stored."""
    bus.publish(f"confirm.{channel}.{worker}", encode_confirmation(confirmation))
