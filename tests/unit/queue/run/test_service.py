"""The queue role on the bus: what a restart, a lost answer, a full stream or an aborted submission may not break.

The real scheduler, workers, submitter and bounce writer on a bus in memory; only what a worker would do with a
message is a table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from qmail.bus import subjects
from qmail.bus.ports import BusDown, Record
from qmail.bus.talk.abort import GIVEN_UP_SECONDS
from qmail.bus.talk.messages import WORKERS
from qmail.control.files import Control
from qmail.message.envelope import Draft
from qmail.message.ids import EPOCH_2020_MS, IdSource
from qmail.queue.fetch import MessageMissing
from qmail.queue.put import CHUNK_BYTES, GivenUp, Submitter
from services.delivery.outcome import Kind, Outcome
from services.delivery.worker import Delivery, Worker
from services.queue.api.listing import Listing
from services.queue.bounce.writer import BounceWriter
from services.queue.decide import events
from services.queue.decide.message import QueuedMessage
from services.queue.decide.ready import READY_ENOUGH
from services.queue.run.bounce_client import Copied
from services.queue.run.service import QueueService
from tests.support.drafts import INVOKED, make_draft
from tests.support.line import Line
from tests.support.memory_bus import MemoryBus
from tests.support.scheduling import Lines, make_context
from tests.support.warp import run, time_passes, until

STARTED = 1_700_000_000
OK = Outcome(Kind.SUCCESS, b"did 1+0+0\n")
LATER = Outcome(Kind.DEFERRAL, b"not now\n")
NEVER = Outcome(Kind.FAILURE, b"Sorry, no mailbox here by that name. (#5.1.1)\n")
LONG = READY_ENOUGH + 200
T = TypeVar("T")


class Answers:
    """Delivers by local part: `later@`, `never@`, `stuck@` (until `let_go`), all others at once."""

    def __init__(self) -> None:
        self.done: list[tuple[int, bytes]] = []
        self.begun: list[tuple[int, bytes]] = []
        self.bodies: list[bytes] = []
        self.let_go = asyncio.Event()
        self.table = {b"later": LATER, b"never": NEVER}

    async def deliver(self, delivery: Delivery) -> Outcome:
        local = delivery.job.recipient.local
        self.begun.append((delivery.envelope.id, local))
        if local == b"stuck":
            await self.let_go.wait()
        outcome = self.table.get(local, OK)
        if outcome is OK:
            self.done.append((delivery.envelope.id, local))
            self.bodies.append(delivery.body or b"")
        return outcome


def draft(*locals_: str, sender: bytes = b"ari@xeris.com") -> Draft:
    return make_draft(*[local.encode() + b"@xeris.com" for local in locals_], sender=sender, uid=2001)


class House:
    """A bus that outlives the schedulers and workers on it."""

    def __init__(self, control: Path) -> None:
        self.bus = MemoryBus()
        self.directory, self.control = control, Control(control)
        self.ids = IdSource(self.clock)
        self.ids.grant(1, EPOCH_2020_MS, 2**62)
        self.submitter = Submitter(self.bus, self.ids, self.clock, self.clock)
        self.log = Lines()
        self._epoch = 0
        self.broken = asyncio.Event()

    @staticmethod
    def clock() -> float:
        return STARTED + asyncio.get_running_loop().time()

    async def scheduler(self, *, is_first: bool = True) -> tuple[QueueService, Line]:
        """A scheduler at work, and the line on which its life hangs."""
        self._epoch += 1
        line = Line(self.bus)
        context = make_context(line, self.log, self._epoch, on_broken=self.broken.set, clock=self.clock)
        service = QueueService(context, self.control, self.ids)
        await service.start(is_first=is_first)
        return service, line

    async def worker(self, answers: Answers) -> tuple[Worker, Line]:
        line = Line(self.bus)
        worker = Worker(line, "local", answers)
        await worker.start()
        return worker, line

    async def bounce_writer(self) -> None:
        await BounceWriter(self.bus, self.control, 901, self.clock).start()

    async def put(self, *locals_: str, sender: bytes = b"ari@xeris.com", body: bytes = b"Subject: x\n\nx\n") -> int:
        submission = self.submitter.begin()
        await submission.write(body)
        envelope = await submission.commit(draft(*locals_, sender=sender), INVOKED)
        return envelope.id

    def held(self, stream: str) -> list[str]:
        """The subjects that a stream holds."""
        return sorted(self.bus.streams[stream].last_of)


@pytest.fixture
def in_house(tmp_path: Path) -> Callable[[Callable[[House], Awaitable[T]]], T]:
    (tmp_path / "me").write_text("mail.xeris.com\n")
    (tmp_path / "locals").write_text("mail.xeris.com\nxeris.com\n")

    def go(work: Callable[[House], Awaitable[T]]) -> T:
        async def main() -> T:
            return await work(House(tmp_path))

        return run(main())

    return go


InHouse = Callable[[Callable[[House], Awaitable[object]]], object]


def test_a_restart_resumes_exactly_what_is_undone(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, line = await house.scheduler()
        before = Answers()
        _, workers_line = await house.worker(before)
        whole = await house.put("a", "b")
        deferred = await house.put("c", "later")
        half = await house.put("d", "stuck")
        await until(
            lambda: len(before.done) == 4 and house.held(subjects.JOURNAL) != [] and not service.store.records.is_busy()
        )
        service.driver.step(events.Paused(True))
        fresh = await house.put("e")
        line.cut()
        workers_line.cut()

        after = Answers()
        after.let_go.set()
        del after.table[b"later"]
        await house.worker(after)
        restarted, _ = await house.scheduler()
        await until(lambda: len(after.done) == 3 and restarted.is_quiet())
        assert sorted(after.begun) == sorted([(deferred, b"later"), (half, b"stuck"), (fresh, b"e")])
        assert whole not in [message_id for message_id, _ in after.begun]
        await until(lambda: not house.held(subjects.IN) and house.held(subjects.JOURNAL) == [])

    in_house(work)


def test_a_pause_outlives_the_scheduler_that_was_asked_for_it(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, line = await house.scheduler()
        await house.worker(answers := Answers())
        await service.pause(paused=True)
        message = await house.put("joni")
        line.cut()
        restarted, line = await house.scheduler()
        await until(lambda: restarted.ready)
        await time_passes(60)
        assert restarted.scheduler.paused and not answers.begun
        await restarted.pause(paused=False)
        await until(lambda: answers.done == [(message, b"joni")])
        line.cut()
        again, _ = await house.scheduler()
        assert not again.scheduler.paused

    in_house(work)


def test_a_pause_that_cannot_be_read_stops_nothing_and_is_told(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        await house.bus.store(Record(subjects.PAUSED, b"rusak"))
        service, _ = await house.scheduler()
        assert not service.scheduler.paused and any(line.startswith("alert: ") for line in house.log.lines)

    in_house(work)


def test_an_empty_queue_has_no_messages_after_a_restart(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, line = await house.scheduler()
        await house.worker(Answers())
        for _ in range(5):
            await house.put("joni")
        await until(lambda: service.is_quiet() and not house.held(subjects.IN))
        line.cut()
        restarted, _ = await house.scheduler()
        status = Listing(restarted, house.bus).status
        assert (await status())["unread"] == 0, "not even before it is ready"
        await until(lambda: restarted.ready)
        assert ((await status())["messages"], (await status())["unread"]) == (0, 0)

    in_house(work)


def test_what_a_restart_finds_ended_in_in_counts_as_read(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, line = await house.scheduler()
        await house.worker(answers := Answers())
        first = await house.put("later")
        for _ in range(5):
            await house.put("joni")
        await until(lambda: first in service.scheduler.asleep and service.is_quiet() and len(answers.done) == 5)
        line.cut()
        restarted, _ = await house.scheduler()
        await until(lambda: restarted.ready)
        status = await Listing(restarted, house.bus).status()
        assert (status["messages"], status["unread"]) == (1, 0)

    in_house(work)


def test_what_ended_before_a_restart_does_not_keep_the_floor(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, line = await house.scheduler()
        answers = Answers()
        await house.worker(answers)
        ended = await house.put("later")
        await until(lambda: ended in service.scheduler.asleep)
        answers.table.clear()
        service.flush()
        # Its done record is stored, the clean-up has not come to it.
        await until(lambda: any(s.startswith("done.") for s in house.held(subjects.JOURNAL)), 0.9)
        line.cut()
        assert house.held(subjects.IN) == [f"in.{ended}"] and f"state.{ended}" in house.held(subjects.JOURNAL)
        await house.scheduler()
        await until(lambda: not house.held(subjects.IN) and not house.held(subjects.JOURNAL))
        assert answers.done == [(ended, b"later")]

    in_house(work)


def test_a_bounce_is_put_once_though_the_scheduler_dies_after_putting_it(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        _, line = await house.scheduler()
        line.cut_after_request = "bounce"
        await house.bounce_writer()
        answers = Answers()
        await house.worker(answers)
        await house.put("never")
        await line.is_cut.wait()
        assert len(house.held(subjects.IN)) == 2, "the message and its bounce"
        service, _ = await house.scheduler()
        await until(lambda: len(answers.done) > 0 and service.is_quiet() and not house.held(subjects.IN))
        assert house.bus.streams[subjects.IN].sequence == 2, "no second bounce was ever stored"
        assert [local for _, local in answers.done] == [b"ari"]
        assert sum(line.startswith("bounce msg") for line in house.log.lines) == 1

    in_house(work)


def test_a_message_whose_body_is_gone_bounces_without_it(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        await house.bounce_writer()
        await house.worker(answers := Answers())
        answers.table[b"stuck"] = NEVER
        message = await house.put("stuck")
        await until(lambda: bool(answers.begun))
        await house.bus.purge(subjects.IN, subjects.accepted(message))
        answers.let_go.set()
        await until(lambda: bool(answers.done) and service.is_quiet())
        assert (
            answers.bodies[0].endswith(b"(The message itself is lost.)\n")
            and b"<stuck@xeris.com>:" in answers.bodies[0]
        )
        assert any("the body of a message is gone" in line for line in house.log.lines)

    in_house(work)


async def defer(house: House, answers: Answers, *locals_: str, body: bytes = b"Subject: x\n\nx\n") -> int:
    """A message that waits on the bus."""
    service, line = await house.scheduler()
    _, workers_line = await house.worker(answers)
    message = await house.put(*locals_, body=body)
    await until(lambda: message in service.scheduler.asleep)
    line.cut()
    workers_line.cut()
    return message


def alerts(house: House) -> list[str]:
    return [line for line in house.log.lines if line.startswith("alert: ")]


def expect_one_set_aside(house: House, service: QueueService, message: int) -> None:
    assert not service.scheduler.messages and not service.scheduler.asleep
    [told] = [line for line in alerts(house) if f"msg {message} " in line]
    assert "<ari@xeris.com>" in told and "<later@xeris.com>" in told and "nobody is told" in told
    assert [each.key for each in house.log.notices.standing] == [f"lost {message}"]
    assert house.held(subjects.JOURNAL) == [subjects.state(message)], "the record stays"


@pytest.mark.parametrize("stream", [subjects.IN, subjects.HOLD])
def test_a_state_record_whose_message_is_nowhere_is_neither_tried_nor_bounced(in_house: InHouse, stream: str) -> None:
    async def work(house: House) -> None:
        message = await defer(house, answers := Answers(), "later")
        await house.bounce_writer()
        if stream == subjects.HOLD:
            await move_to_hold(house, message)
        await house.bus.purge(stream)
        service, line = await house.scheduler()
        await house.worker(answers)
        await until(lambda: service.ready and bool(house.log.notices.standing))
        expect_one_set_aside(house, service, message)
        service.flush()
        await time_passes(600)
        assert len(answers.begun) == 1 and not house.held(subjects.IN), "no attempt, no bounce"
        line.cut()
        # Its time is over: this start gives it up.
        (house.directory / "queuelifetime").write_text("60\n")
        service, _ = await house.scheduler()
        await until(lambda: any("it is given up" in line for line in alerts(house)))
        await until(lambda: not house.held(subjects.JOURNAL))
        assert len(answers.begun) == 1 and not house.held(subjects.IN)

    in_house(work)


async def move_to_hold(house: House, message: int) -> None:
    """As the copier does."""
    state = await house.bus.last(subjects.JOURNAL, subjects.state(message))
    accepted = await house.bus.last(subjects.IN, subjects.accepted(message))
    assert state is not None and accepted is not None
    await house.bus.store(Record(subjects.hold(message), accepted.payload, accepted.headers))
    held = state.payload.replace(b'"held":false', b'"held":true')
    await house.bus.store(Record(subjects.state(message), held), state.sequence)
    await house.bus.purge(subjects.IN)


def test_a_message_that_comes_back_is_tried_again_at_the_next_start(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        message = await defer(house, answers := Answers(), "later")
        accepted = await house.bus.last(subjects.IN, subjects.accepted(message))
        assert accepted is not None
        await house.bus.purge(subjects.IN)
        service, line = await house.scheduler()
        await until(lambda: service.ready and bool(house.log.notices.standing))
        line.cut()
        await house.bus.store(Record(subjects.hold(message), accepted.payload, accepted.headers))
        answers.table.clear()
        await house.worker(answers)
        service, _ = await house.scheduler()
        service.flush()
        await until(lambda: answers.done == [(message, b"later")])

    in_house(work)


def test_a_message_that_a_worker_misses_is_looked_for_and_set_aside(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        await house.bounce_writer()
        _, workers_line = await house.worker(answers := Answers())
        message = await house.put("later")
        await until(lambda: message in service.scheduler.asleep)
        # The next worker has not read it yet.
        workers_line.cut()
        await house.worker(answers)
        await house.bus.purge(subjects.IN)
        service.flush()
        await until(lambda: bool(house.log.notices.standing) and service.is_quiet())
        expect_one_set_aside(house, service, message)
        assert len(answers.begun) == 1

    in_house(work)


def test_a_large_message_that_lacks_a_piece_is_set_aside(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        message = await defer(house, answers := Answers(), "later", body=b"x" * (CHUNK_BYTES + 1))
        await house.bus.purge(subjects.BODY, subjects.body(message, 1))
        service, _ = await house.scheduler()
        reader = Reader(answers)
        await house.worker(reader)
        service.flush()
        await until(lambda: bool(house.log.notices.standing) and service.is_quiet())
        expect_one_set_aside(house, service, message)

    in_house(work)


class Reader(Answers):
    """Reads a message whole, as qmail-local does, and defers what it cannot read."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.table = answers.table

    async def deliver(self, delivery: Delivery) -> Outcome:
        try:
            async for _ in delivery.pieces():
                pass
        except MessageMissing:
            return LATER
        return await super().deliver(delivery)


def test_a_bounce_that_only_a_record_asks_for_is_not_written_without_the_message(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, line = await house.scheduler()
        await house.worker(Answers())
        message = await house.put("never")
        await until(
            lambda: house.held(subjects.JOURNAL) == [subjects.state(message)] and not service.store.records.is_busy()
        )
        line.cut()
        await house.bus.purge(subjects.IN)
        service, _ = await house.scheduler()
        await house.bounce_writer()
        await until(lambda: bool(house.log.notices.standing))
        assert not house.held(subjects.IN) and not service.scheduler.messages
        assert "with failures that its sender may not know of" in alerts(house)[-1]

    in_house(work)


def test_a_state_record_that_holds_the_floor_is_written_anew_at_the_end(
    in_house: InHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.queue.store.journal.BEHIND_ENOUGH", 10)
    monkeypatch.setattr("services.queue.run.hold_copier.BLOCKED_MESSAGES", 1)

    async def work(house: House) -> None:
        lost = await defer(house, answers := Answers(), "later")
        await house.bus.purge(subjects.IN)
        service, _ = await house.scheduler()
        await house.worker(answers)
        await house.bounce_writer()
        waiting = await house.put("later")
        await until(lambda: waiting in service.scheduler.asleep and bool(house.log.notices.standing))
        for _ in range(40):
            await house.put("joni")
            await time_passes(1)
        await until(lambda: min(house.bus.streams[subjects.JOURNAL].records) > 20)
        assert {subjects.state(lost), subjects.state(waiting)} <= set(house.held(subjects.JOURNAL))
        assert waiting in service.scheduler.asleep
        answers.table.clear()
        service.flush()
        await until(lambda: (waiting, b"later") in answers.done and service.is_quiet())
        assert answers.done.count((waiting, b"later")) == 1 and lost not in dict(answers.done)

    in_house(work)


def test_many_long_reports_make_a_record_that_the_bus_takes_and_a_bounce(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        await house.bounce_writer()
        await house.worker(answers := Answers())
        names = [f"n{number}" for number in range(300)]
        report = b"\xff" * 4900 + b"\n"
        for number, name in enumerate(names):
            answers.table[name.encode()] = Outcome(Kind.DEFERRAL if number % 3 else Kind.FAILURE, report)
        await house.put(*names)
        await until(lambda: len(answers.begun) == len(names) and not service.scheduler.running())
        answers.table = dict.fromkeys(answers.table, Outcome(Kind.FAILURE, report))
        service.flush()
        await until(lambda: bool(answers.done) and service.is_quiet())
        assert len(answers.begun) == 2 * len(names) - 100 + 1
        assert b"<n0@xeris.com>:" in answers.bodies[0] and b" more recipients.\n\n---" in answers.bodies[0]
        assert not any("unable" in line or "alert" in line for line in house.log.lines)

    in_house(work)


def test_a_message_that_is_stored_once_more_after_it_ended_is_not_delivered_again(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        await house.worker(answers := Answers())
        message = await house.put("joni")
        first = next(iter(house.bus.streams[subjects.IN].records.values()))
        await until(lambda: not house.held(subjects.IN))
        await house.bus.store(Record(first.subject, first.payload, first.headers))
        await house.put("diva")
        await until(lambda: len(answers.done) == 2 and service.is_quiet() and not house.held(subjects.IN))
        assert [number for number, _ in answers.done].count(message) == 1

    in_house(work)


def test_a_report_is_repeated_until_a_new_scheduler_confirms_it(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        _, line = await house.scheduler()
        answers = Answers()
        worker, _ = await house.worker(answers)
        message = await house.put("stuck")
        await until(lambda: answers.begun == [(message, b"stuck")])
        line.cut()
        answers.let_go.set()
        await until(lambda: answers.done == [(message, b"stuck")])
        assert not worker.is_quiet(), "nobody has confirmed"
        await house.scheduler(is_first=False)
        await until(lambda: worker.is_quiet() and not house.held(subjects.IN))
        assert answers.begun == [(message, b"stuck")], "delivered once"
        assert house.log.lines[-1] == f"end msg {message}"

    in_house(work)


def test_a_report_whose_record_is_stored_is_only_confirmed(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        _, line = await house.scheduler()
        answers = Answers()
        worker, _ = await house.worker(answers)
        # The records get through, the confirmations do not.
        line.muted = "confirm."
        message = await house.put("joni")
        await until(lambda: any(s.startswith("done.") for s in house.held(subjects.JOURNAL)))
        line.cut()
        assert not worker.is_quiet()
        await house.scheduler(is_first=False)
        await until(worker.is_quiet)
        assert answers.begun == [(message, b"joni")]

    in_house(work)


def test_a_new_scheduler_adopts_the_running_job_of_a_deferred_message(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, line = await house.scheduler()
        answers = Answers()
        answers.table[b"stuck"] = LATER
        answers.let_go.set()
        await house.worker(answers)
        message = await house.put("stuck")
        await until(lambda: message in service.scheduler.asleep)
        answers.let_go.clear()
        service.flush()
        await until(lambda: len(answers.begun) == 2)
        line.cut()
        await house.worker(another := Answers())
        another.let_go.set()
        restarted, _ = await house.scheduler(is_first=False)
        await until(lambda: restarted.ready)
        assert restarted.scheduler.running() == 1
        del answers.table[b"stuck"]
        answers.let_go.set()
        await until(lambda: not house.held(subjects.IN))
        assert len(answers.begun) == 2 and not another.begun, "nobody delivered it a second time"

    in_house(work)


def test_in_is_purged_up_to_the_floor_and_blockers_go_to_hold(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        await house.bounce_writer()
        answers = Answers()
        await house.worker(answers)
        blocker = await house.put("later", body=b"Subject: wait\n\nwait\n")
        for _ in range(300):
            await house.put("joni")
        await until(lambda: len(answers.done) == 300 and service.is_quiet())
        assert f"in.{blocker}" in house.held(subjects.IN), "the oldest lives"
        await until(lambda: house.held(subjects.HOLD) == [f"hold.{blocker}"], 90)
        await until(lambda: not house.held(subjects.IN), 30)
        assert blocker in service.scheduler.asleep, "it waits on the bus, not in memory"
        answers.table.clear()
        service.flush()
        await until(lambda: not house.held(subjects.HOLD) and not house.held(subjects.JOURNAL))
        assert answers.bodies[-1] == b"Subject: wait\n\nwait\n"

    in_house(work)


def test_a_blocker_that_ends_while_it_is_copied_leaves_nothing_in_hold(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        answers = Answers()
        await house.worker(answers)
        blocker = await house.put("stuck")
        for _ in range(300):
            await house.put("joni")
        asked = asyncio.Event()

        def copy_late(request: object) -> None:
            asked.set()

        await house.bus.subscribe("keep", copy_late, WORKERS)
        await asyncio.wait_for(asked.wait(), 90)
        answers.let_go.set()
        await until(lambda: service.scheduler.messages == {})
        # The copy comes when the message has ended.
        stored = house.bus.streams[subjects.IN].records
        await house.bus.store(Record(subjects.hold(blocker), b"", {}))
        house.bus.publish("_INBOX.1", b'{"ok": true}')
        await until(lambda: not house.held(subjects.HOLD) and not house.held(subjects.JOURNAL) and not stored)

    in_house(work)


def test_an_unreadable_record_does_not_stop_the_floor(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        await house.bounce_writer()
        await house.bus.store(Record("in.5", b"x", {subjects.ENVELOPE_HEADER: "!"}))
        answers = Answers()
        await house.worker(answers)
        await house.scheduler()
        await house.bus.store(Record("in.6", b"y", {}))
        message = await house.put("joni")
        await until(lambda: not house.held(subjects.IN))
        assert house.held(subjects.HOLD) == ["hold.5", "hold.6"] and answers.done == [(message, b"joni")]
        assert sum("unreadable record" in line for line in house.log.lines) == 2

    in_house(work)


@pytest.mark.parametrize("local", ["joni", "later"])
def test_nothing_is_confirmed_while_the_record_cannot_be_stored(in_house: InHouse, local: str) -> None:
    async def work(house: House) -> None:
        await house.scheduler()
        answers = Answers()
        worker, _ = await house.worker(answers)
        house.bus.streams[subjects.JOURNAL].max_bytes = 0
        await house.put(local)
        await until(lambda: sum("will try again" in line for line in house.log.lines) >= 3)
        assert not worker.is_quiet() and not house.held(subjects.JOURNAL)
        house.bus.streams[subjects.JOURNAL].max_bytes = -1
        await until(worker.is_quiet)
        assert house.held(subjects.JOURNAL) != [] and len(answers.begun) == 1

    in_house(work)


def test_an_abort_removes_half_stored_chunks(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        await house.scheduler()
        submission = house.submitter.begin()
        await submission.write(b"x" * (2 * CHUNK_BYTES + 1))
        assert len(house.held(subjects.BODY)) == 2
        await submission.abort()
        await until(lambda: not house.held(subjects.BODY), 60)

    in_house(work)


def test_an_abort_never_removes_the_chunks_of_a_committed_message(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        message = await house.put("joni", body=b"x" * (CHUNK_BYTES + 1))
        chunks = house.held(subjects.BODY)
        house.bus.publish("abort", b"%d" % message)
        await time_passes(60)
        assert house.held(subjects.BODY) == chunks and len(chunks) == 2
        # Not even where the scheduler has not come to know of it yet.
        service.store.cleaner.aborted(message, lambda _: False)
        await time_passes(60)
        assert house.held(subjects.BODY) == chunks
        await house.worker(answers := Answers())
        await until(lambda: answers.done == [(message, b"joni")])
        await until(lambda: not house.held(subjects.BODY) and not house.held(subjects.IN))

    in_house(work)


def test_chunks_of_a_smtpd_that_died_are_removed_after_its_timeout(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        submission = house.submitter.begin()
        await submission.write(b"x" * (CHUNK_BYTES + 1))
        await house.bus.store(Record(subjects.large_envelope(house.ids.next()), b"y"))
        await house.scheduler()
        await time_passes(1000)
        assert len(house.held(subjects.BODY)) == 2, "it may still go on"
        await until(lambda: not house.held(subjects.BODY), 8000)

    in_house(work)


def test_a_large_body_may_come_slowly_for_hours(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        await house.scheduler()
        await house.worker(answers := Answers())
        submission = house.submitter.begin()
        for _ in range(12):
            await submission.write(b"x" * CHUNK_BYTES)
            await time_passes(GIVEN_UP_SECONDS - 10)
        await submission.commit(draft("stuck"), INVOKED)
        await until(lambda: answers.begun == [(submission.id, b"stuck")])
        assert len(house.held(subjects.BODY)) == 12

    in_house(work)


def test_a_body_that_stood_still_for_too_long_is_refused_before_its_pieces_go(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        await house.scheduler()
        submission = house.submitter.begin()
        await submission.write(b"x" * (CHUNK_BYTES + 1))
        began = house.clock()
        while house.clock() < began + GIVEN_UP_SECONDS + 1:
            assert house.held(subjects.BODY)
            await time_passes(100)
        with pytest.raises(GivenUp):
            await submission.commit(draft("joni"), INVOKED)
        with pytest.raises(GivenUp):
            await submission.write(b"x" * CHUNK_BYTES)
        assert not house.held(subjects.IN)

    in_house(work)


def test_pieces_of_a_bounce_that_cannot_be_put_for_long_stay(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        await house.scheduler()
        await house.worker(answers := Answers())
        await house.bounce_writer()
        message = await house.put("never", sender=b"stuck@xeris.com", body=b"x" * CHUNK_BYTES)
        house.bus.streams[subjects.IN].max_bytes = 0
        await until(lambda: len(house.held(subjects.BODY)) == 2)
        pieces = house.held(subjects.BODY)
        await time_passes(3 * GIVEN_UP_SECONDS)
        assert house.held(subjects.BODY) == pieces and subjects.body(message, 0) not in pieces
        house.bus.streams[subjects.IN].max_bytes = -1
        await until(lambda: [local for _, local in answers.begun] == [b"never", b"stuck"])
        assert house.held(subjects.BODY) == pieces

    in_house(work)


def test_a_flush_of_a_long_queue_reads_only_what_there_is_room_for(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        await house.worker(answers := Answers())
        for _ in range(LONG):
            await house.put("later")
        await until(lambda: len(service.scheduler.asleep) == LONG and not service.scheduler.messages)
        answers.table.clear()
        await service.pause(paused=True)
        service.flush()
        await until(lambda: not service.scheduler.loading)
        assert len(service.scheduler.messages) == READY_ENOUGH
        await service.pause(paused=False)
        await until(lambda: len(answers.done) == LONG and service.is_quiet())

    in_house(work)


def test_twenty_thousand_queued_messages_are_rebuilt_in_seconds(in_house: InHouse) -> None:
    async def work(house: House) -> float:
        service, line = await house.scheduler()
        _, workers_line = await house.worker(Answers())
        deferred = await house.put("later")
        await until(lambda: deferred in service.scheduler.asleep)
        state = await house.bus.last(subjects.JOURNAL, subjects.state(deferred))
        assert state is not None
        line.cut()
        workers_line.cut()
        for _ in range(10_000):
            await house.put("joni")
        for _ in range(9_999):
            await house.bus.store(Record(subjects.state(house.ids.next()), state.payload))
        began = time.process_time()
        service, _ = await house.scheduler()
        await until(lambda: service.ready)
        took = time.process_time() - began
        assert len(service.scheduler.messages) == len(service.scheduler.asleep) == 10_000
        return took

    took = in_house(work)
    print(f"20,000 messages rebuilt in {took:.2f} s")
    assert isinstance(took, float) and took < 10


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_record_that_is_none_of_ours_is_passed_over(in_house: InHouse, when: str) -> None:
    async def work(house: House) -> None:
        strange = [Record("in.rusak", b"x", {}), Record("in.7", b"x", {subjects.ENVELOPE_HEADER: "bnVsbA=="})]
        for record in strange if when == "before" else ():
            await house.bus.store(record)
        service, _ = await house.scheduler()
        await house.bounce_writer()
        await until(lambda: service.ready)
        for record in strange if when == "while" else ():
            await house.bus.store(record)
        await house.worker(answers := Answers())
        message = await house.put("joni")
        await until(lambda: answers.done == [(message, b"joni")])
        await until(lambda: not house.held(subjects.IN) and house.held(subjects.HOLD) == ["hold.7"])
        assert sum("alert" in line for line in house.log.lines) == 2

    in_house(work)


def test_a_message_whose_state_cannot_be_read_is_neither_delivered_again_nor_lost(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        message = await house.put("joni")
        await house.bus.store(Record(subjects.state(message), b"rusak"))
        await house.scheduler()
        await house.bounce_writer()
        await house.worker(answers := Answers())
        await until(lambda: not house.held(subjects.IN))
        assert house.held(subjects.HOLD) == [subjects.hold(message)] and not answers.begun
        assert house.held(subjects.JOURNAL) == [subjects.state(message)]

    in_house(work)


def test_a_scheduler_that_lost_its_lease_unknowing_does_not_overwrite_what_the_next_one_stored(
    in_house: InHouse,
) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        await house.worker(answers := Answers())
        message = await house.put("later", "stuck")
        await until(lambda: len(answers.begun) == 2 and service.scheduler.messages[message].state_sequence > 0)
        theirs = await house.bus.store(Record(subjects.state(message), b"of the next one"))
        answers.let_go.set()
        await asyncio.wait_for(house.broken.wait(), 60)
        stored = await house.bus.last(subjects.JOURNAL, subjects.state(message))
        assert stored is not None and stored.sequence == theirs

    in_house(work)


def test_a_late_copy_takes_nothing_else_of_its_message_along(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        kept = [
            Record(subjects.state(5), b"{}"),
            Record(subjects.body(5, 0), b"x"),
            Record(subjects.large_envelope(5), b"x"),
        ]
        for record in (Record(subjects.hold(5), b"x"), *kept):
            await house.bus.store(record)
        service.store.cleaner.forget_copy(5)
        await until(lambda: not house.held(subjects.HOLD))
        assert house.held(subjects.JOURNAL) + house.held(subjects.BODY) == [record.subject for record in kept]

    in_house(work)


def test_a_bus_that_goes_away_while_something_is_copied_to_hold_is_waited_for(
    in_house: InHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.queue.run.hold_copier.BLOCKED_MESSAGES", 1)

    async def work(house: House) -> None:
        service, line = await house.scheduler()
        await house.bounce_writer()
        await house.worker(answers := Answers())
        purge = line.purge
        refused: list[object] = []

        async def purge_once_back(stream: str, subject: str = "", below_sequence: int = 0) -> None:
            if stream == subjects.HOLD and not refused:
                refused.append(subject)
                raise BusDown("gone")
            await purge(stream, subject, below_sequence)

        monkeypatch.setattr(line, "purge", purge_once_back)
        blocker = await house.put("stuck")
        await house.put("joni")
        hold = service.driver.bounce_writer.hold

        async def hold_and_end(message: QueuedMessage) -> Copied:
            copied = await hold(message)
            answers.let_go.set()
            await until(lambda: not service.scheduler.messages)
            return copied

        monkeypatch.setattr(service.driver.bounce_writer, "hold", hold_and_end)
        await until(lambda: refused == [subjects.hold(blocker)])
        await until(lambda: not house.held(subjects.HOLD) and not house.held(subjects.IN))
        assert not house.broken.is_set()

    in_house(work)


def test_a_backlog_waits_on_the_bus_and_not_in_memory(in_house: InHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.queue.decide.scheduler.READY_MOST", 10)
    monkeypatch.setattr("services.queue.decide.scheduler.READY_ENOUGH", 5)

    async def work(house: House) -> None:
        service, line = await house.scheduler()
        await service.pause(paused=True)
        _, workers_line = await house.worker(Answers())
        queued = [await house.put("joni") for _ in range(60)]
        await until(lambda: len(service.scheduler.asleep) == 50)
        assert len(service.scheduler.messages) == 10
        line.cut()
        workers_line.cut()
        # As much again is in IN when the next one begins.
        queued += [await house.put("joni") for _ in range(60)]
        restarted, _ = await house.scheduler()
        await restarted.pause(paused=True)
        await until(lambda: restarted.ready and len(restarted.scheduler.asleep) == 110)
        assert len(restarted.scheduler.messages) == 10
        await house.worker(answers := Answers())
        await restarted.pause(paused=False)
        await until(lambda: len(answers.done) == 120 and restarted.is_quiet(), 6000)
        assert sorted(answers.done) == [(message, b"joni") for message in sorted(queued)]
        await until(lambda: not house.held(subjects.JOURNAL) and not house.held(subjects.IN))

    in_house(work)


def test_new_mail_during_a_rebuild_does_not_cost_the_old_its_records(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        old = [await house.put("joni") for _ in range(5)]
        await house.scheduler(is_first=False)
        await house.worker(answers := Answers())
        new = [await house.put("diva") for _ in range(5)]
        await until(lambda: len(answers.done) == 10)
        assert sorted(message for message, _ in answers.done) == sorted([*old, *new])
        await until(lambda: not house.held(subjects.IN))

    in_house(work)


def test_a_worker_ends_soon_when_nobody_is_left_to_confirm(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        _, line = await house.scheduler()
        answers = Answers()
        worker, _ = await house.worker(answers)
        await house.put("stuck")
        await until(lambda: answers.begun != [])
        line.cut()
        loop = asyncio.get_running_loop()
        loop.call_later(60.0, answers.let_go.set)
        before = loop.time()
        await worker.stop(280.0)
        assert answers.done != [], "what ran was finished"
        assert 60.0 < loop.time() - before < 80.0, "and no more than a little was waited for"

    in_house(work)


def test_a_worker_that_ends_leaves_the_jobs_to_the_others(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        await house.scheduler()
        ending, _ = await house.worker(first := Answers())
        stuck = await house.put("stuck")
        await until(lambda: bool(first.begun))
        end = asyncio.create_task(ending.stop(280))
        await until(lambda: ending._stopping)
        waits = await house.put("joni")
        await time_passes(30)
        assert not any("went_silent" in line for line in house.log.lines)
        await house.worker(second := Answers())
        await until(lambda: second.done == [(waits, b"joni")], 3)
        first.let_go.set()
        await end
        assert first.done == [(stuck, b"stuck")]

    in_house(work)


def test_what_runs_is_not_begun_again_by_a_worker_that_was_not_heard_for_a_while(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        await house.worker(answers := Answers())
        message = await house.put("stuck")
        await until(lambda: bool(answers.begun))
        service.driver.step(events.SecondPassed(int(house.clock()), time.monotonic() + 60))
        await until(lambda: bool(service.scheduler.running()), 30)
        answers.let_go.set()
        await until(lambda: service.is_quiet() and not service.scheduler.messages, 30)
        assert answers.begun == answers.done == [(message, b"stuck")]
        assert sum(line.startswith("starting delivery") for line in house.log.lines) == 2

    in_house(work)


def test_a_scheduler_that_stood_still_loses_no_job(in_house: InHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(house: House) -> None:
        _, line = await house.scheduler()
        await house.worker(answers := Answers())
        await house.put("stuck")
        await until(lambda: bool(answers.begun))
        # What the workers said meanwhile has not been read yet when the sweep comes.
        line.deaf = True
        now = time.monotonic
        monkeypatch.setattr("services.queue.run.service.time.monotonic", lambda: now() + 20)
        await time_passes(1.5)
        line.deaf = False
        answers.let_go.set()
        await until(lambda: bool(answers.done))
        assert not any("went_silent" in line for line in house.log.lines)

    in_house(work)


def test_what_waits_for_the_bus_while_it_is_copied_stops_nothing_else(
    in_house: InHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.queue.run.hold_copier.BLOCKED_MESSAGES", 1)

    async def work(house: House) -> None:
        await house.scheduler()
        await house.worker(answers := Answers())
        asked = asyncio.Event()
        await house.bus.subscribe("keep", lambda _: asked.set(), WORKERS)
        first = await house.put("joni")
        blocker = await house.put("later")
        await house.put("joni")
        await asyncio.wait_for(asked.wait(), 90)
        assert house.held(subjects.IN)[0] == f"in.{blocker}" and first != blocker, "purged up to it"
        answers.table.clear()
        await until(lambda: (blocker, b"later") in answers.done, 1000)

    in_house(work)


def test_a_scheduler_that_ends_leaves_no_worker_without_its_confirmations(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        answers = Answers()
        worker, _ = await house.worker(answers)
        await house.put("a", "later", "stuck")
        await until(lambda: len(answers.begun) == 3)
        asyncio.get_running_loop().call_later(1.0, answers.let_go.set)
        assert await service.stop(30.0) is True
        await asyncio.sleep(0)
        assert worker.is_quiet()

    in_house(work)


def test_a_fault_of_ours_is_said_and_the_scheduler_starts_anew(
    in_house: InHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(house: House) -> None:
        service, line = await house.scheduler()
        answers = Answers()
        await house.worker(answers)
        message_id = await house.put("a")
        await until(lambda: answers.done != [])
        with monkeypatch.context() as patch:
            patch.setattr(service.driver.outbox, "confirm", lambda *_: 1 / 0)
            await house.put("b")
            await until(house.broken.is_set)
            assert any("alert: unforeseen: ZeroDivisionError" in line for line in house.log.lines)
            await service.stop(30.0)
        line.cut()
        again, _ = await house.scheduler()
        await until(lambda: again.is_quiet() and not house.held(subjects.IN))
        assert [done for done in answers.done if done[0] == message_id] == [(message_id, b"a")]

    in_house(work)


def test_a_sweep_that_fails_does_not_leave_a_scheduler_without_one(
    in_house: InHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        monkeypatch.setattr(service.driver, "step", lambda _: 1 / 0)
        await until(house.broken.is_set, 10.0)

    in_house(work)


def test_a_bounce_waits_for_a_number(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        await house.scheduler()
        await house.bounce_writer()
        answers = Answers()
        await house.worker(answers)
        await house.put("never")
        house.ids.grant(1, EPOCH_2020_MS, 0)  # the node's range has ended
        await until(lambda: any("failure" in line for line in house.log.lines))
        await time_passes(60.0)
        assert not any("bounce msg" in line for line in house.log.lines)
        house.ids.grant(1, EPOCH_2020_MS, 2**62)
        await until(lambda: any("bounce msg" in line for line in house.log.lines))

    in_house(work)


def test_a_message_that_a_worker_cannot_read_for_whatever_reason_is_deferred(
    in_house: InHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        worker, _ = await house.worker(Answers())
        with monkeypatch.context() as patch:
            patch.setattr(worker._messages, "fetch", lambda _: 1 / 0)
            await house.put("a")
            await until(lambda: any("deferral: Unable_to_read" in line for line in house.log.lines))
            await until(worker.is_quiet)
        service.flush()
        await until(lambda: any("success" in line for line in house.log.lines))

    in_house(work)


def test_a_scheduler_that_could_not_wait_for_a_delivery_says_so(in_house: InHouse) -> None:
    async def work(house: House) -> None:
        service, _ = await house.scheduler()
        answers = Answers()
        await house.worker(answers)
        await house.put("stuck")
        await until(lambda: answers.begun != [])
        assert await service.stop(30.0) is False

    in_house(work)


def test_a_message_that_cannot_be_scheduled_does_not_keep_the_others_and_is_not_lost(
    in_house: InHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(house: House) -> None:
        service, line = await house.scheduler()
        answers = Answers()
        await house.worker(answers)
        with monkeypatch.context() as patch:
            patch.setattr(service.scheduler, "controls", None)  # a fault of ours, half-way through a message
            bad = await house.put("a")
            await until(lambda: any("alert: a message is not scheduled" in text for text in house.log.lines))
        good = await house.put("b")
        await until(lambda: answers.done == [(good, b"b")])
        await time_passes(60.0)
        assert f"in.{bad}" in house.held(subjects.IN)
        assert bad not in service.scheduler.messages and service.scheduler.running() == 0
        line.cut()
        await house.scheduler()
        await until(lambda: (bad, b"a") in answers.done and not house.held(subjects.IN))

    in_house(work)
