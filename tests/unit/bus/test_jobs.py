"""Scheduler and workers on the bus: who gets what, in which groups, and what is passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from qmail.bus.ports import Message
from qmail.bus.talk.messages import Malformed
from qmail.message.address import Address
from qmail.queue.deliveries import Confirmation, Heartbeat, Job, JobGroup, RecordPosition, Report, ReportGroup
from qmail.queue.talk import jobs, reports
from qmail.queue.talk.jobs import GROUP_JOBS
from qmail.queue.talk.reports import GROUP_REPORTS
from tests.support.memory_bus import MemoryBus


def on_a_bus(talk: Callable[[MemoryBus], Coroutine[None, None, None]]) -> None:
    asyncio.run(talk(MemoryBus()))


async def turn() -> None:
    """What was published has been heard."""
    for _ in range(3):
        await asyncio.sleep(0)


def job(number: int) -> Job:
    return Job(7, number, 1, False, RecordPosition(3, 6, 1, 100), Address(b"a\xff@b"), Address(b"joni@xeris.com"))


def test_each_job_goes_to_one_worker_of_its_channel_in_groups() -> None:
    async def talk(bus: MemoryBus) -> None:
        taken: list[JobGroup] = []
        remote: list[JobGroup] = []
        for _ in range(2):
            await jobs.take(bus, "local", taken.append)
        await jobs.take(bus, "remote", remote.append)
        given = [job(number) for number in range(GROUP_JOBS + 1)]
        jobs.give(bus, "local", 3, given)
        await turn()
        assert sorted(len(group.jobs) for group in taken) == [1, GROUP_JOBS]
        assert sorted((j for group in taken for j in group.jobs), key=lambda j: j.number) == given
        assert {group.epoch for group in taken} == {3} and not remote

    on_a_bus(talk)


def test_reports_go_in_groups_and_what_is_none_is_told() -> None:
    async def talk(bus: MemoryBus) -> None:
        heard: list[ReportGroup] = []
        ignored: list[Malformed] = []
        await reports.hear_reports(bus, "remote", heard.append, ignored.append)
        told = [Report(7, number, 1, "K", b"did 1+0+0\n\xff") for number in range(GROUP_REPORTS + 1)]
        reports.report(bus, "remote", "w", told)
        bus.publish("report.remote", b"{}")
        await turn()
        assert [len(group.reports) for group in heard] == [GROUP_REPORTS, 1]
        assert [report for group in heard for report in group.reports] == told
        assert [str(error) for error in ignored] == ["not a report: 'v'"]

    on_a_bus(talk)


def test_a_worker_is_heard_and_confirmed_by_its_name() -> None:
    async def talk(bus: MemoryBus) -> None:
        beats: list[Heartbeat] = []
        mine: list[Confirmation] = []
        others: list[Confirmation] = []
        await reports.hear_heartbeats(bus, "local", beats.append, lambda error: None)
        await reports.hear_confirmations(bus, "local", "w1", mine.append)
        await reports.hear_confirmations(bus, "local", "w2", others.append)
        reports.say_what_runs(bus, "local", Heartbeat("w1", ((7, 0, 1),), slow=((7, 0),)))
        reports.confirm(bus, "local", "w1", Confirmation(3, ((7, 0, 1),)))
        await turn()
        assert beats == [Heartbeat("w1", ((7, 0, 1),), slow=((7, 0),))]
        assert mine == [Confirmation(3, ((7, 0, 1),))] and not others

    on_a_bus(talk)


def test_what_is_no_job_is_passed_over_and_the_next_is_taken() -> None:
    async def talk(bus: MemoryBus) -> None:
        taken: list[JobGroup] = []
        told: list[Message] = []
        await jobs.take(bus, "local", taken.append)
        await bus.subscribe("report.local", told.append)
        bus.publish("job.local", b'{"v":2}')
        jobs.give(bus, "local", 3, [job(0)])
        await turn()
        assert taken == [JobGroup(3, (job(0),))] and not told

    on_a_bus(talk)
