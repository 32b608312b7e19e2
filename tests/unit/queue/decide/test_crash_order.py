"""What is stored before what: whoever dies between any two effects has lost nothing (services.queue.decide.effects)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from qmail.queue.deliveries import Heartbeat, Job, RecordPosition, Report, ReportGroup
from services.queue.decide import events
from services.queue.decide.effects import (
    Clean,
    Confirm,
    Effect,
    Forget,
    LetSleep,
    Log,
    StartJob,
    StoreDone,
    StoreEnd,
    StoreState,
    WriteBounce,
)
from services.queue.decide.message import QueuedMessage
from services.queue.decide.scheduler import Scheduler
from tests.support.scheduling import make_envelope, make_scheduler


def begin(*recipients: bytes) -> tuple[Scheduler, QueuedMessage, list[Job]]:
    """Message 1 with all of its deliveries under way."""
    scheduler = make_scheduler().scheduler
    scheduler.step(events.Accepted(make_envelope(1, *recipients), RecordPosition(1, 1), 0))
    message = scheduler.messages[1]
    begun = scheduler.step(events.Beat("local", Heartbeat("w", ()), 0))
    return scheduler, message, [effect.job for effect in begun if isinstance(effect, StartJob)]


def report(job: Job, letter: str) -> Report:
    return Report(job.id, job.number, job.attempt, letter, b"said\n")


def tell(scheduler: Scheduler, *reports: Report) -> list[Effect]:
    """What has to be done, but for the log."""
    return silent(scheduler.step(events.Reported("local", ReportGroup("w", reports), 1)))


def stored(scheduler: Scheduler, effect: Effect) -> list[Effect]:
    assert isinstance(effect, StoreDone | StoreState | StoreEnd)
    return scheduler.step(events.Stored(effect))


def silent(effects: Sequence[Effect]) -> list[Effect]:
    return [effect for effect in effects if not isinstance(effect, Log)]


def test_a_success_is_recorded_then_confirmed_then_cleaned_up() -> None:
    scheduler, message, [job] = begin(b"joni@xeris.com")
    confirm = Confirm("local", "w", success := report(job, "K"))
    done = StoreDone(message, 0, confirm)
    assert tell(scheduler, success) == [done, Forget(1)]
    assert stored(scheduler, done) == [confirm, Clean(message)]


def test_nothing_is_cleaned_up_before_the_last_recipient_is_recorded() -> None:
    scheduler, message, jobs = begin(b"joni@xeris.com", b"diva@xeris.com")
    first, second = (report(job, "K") for job in jobs)
    one, two = (StoreDone(message, number, Confirm("local", "w", each)) for number, each in enumerate((first, second)))
    assert tell(scheduler, first, second) == [one, two, Forget(1)]
    assert stored(scheduler, two) == [two.confirm]
    assert stored(scheduler, one) == [one.confirm, Clean(message)]


def test_a_deferral_is_recorded_then_confirmed_and_only_then_may_the_message_leave_memory() -> None:
    scheduler, message, [job] = begin(b"joni@xeris.com")
    confirm = Confirm("local", "w", deferral := report(job, "Z"))
    assert tell(scheduler, deferral) == [StoreState(message, confirm)]
    assert stored(scheduler, StoreState(message, confirm)) == [confirm, LetSleep(message)]


def test_a_failure_is_recorded_then_bounced_then_the_end_is_recorded_then_all_is_cleaned_up() -> None:
    scheduler, message, [job] = begin(b"nobody@xeris.com")
    confirm = Confirm("local", "w", failure := report(job, "D"))
    state = StoreState(message, confirm)
    assert tell(scheduler, failure) == [state, WriteBounce(message)]
    assert stored(scheduler, state) == [confirm, LetSleep(message)]
    assert silent(scheduler.step(events.Slept(message))) == [] and 1 in scheduler.messages, "its bounce is on its way"
    ended = scheduler.step(events.Bounced(message, "bounce msg 1 qp 2"))
    assert ended == [Log(("bounce msg 1 qp 2",)), Log(("end msg 1",)), Forget(1), StoreEnd(message)]
    assert stored(scheduler, StoreEnd(message)) == [Clean(message)]


def test_a_message_without_recipients_is_recorded_as_ended_before_it_is_cleaned_up() -> None:
    scheduler = make_scheduler().scheduler
    effects = silent(scheduler.step(events.Accepted(make_envelope(1), RecordPosition(1, 1), 0)))
    assert [type(effect) for effect in effects] == [Forget, StoreEnd]
    assert [type(effect) for effect in stored(scheduler, effects[1])] == [Clean]


def test_a_report_that_comes_again_is_confirmed_no_earlier_than_the_first() -> None:
    scheduler, _, [job] = begin(b"joni@xeris.com")
    [done, _] = tell(scheduler, report(job, "K"))
    assert tell(scheduler, report(job, "K")) == []
    stored(scheduler, done)
    assert tell(scheduler, report(job, "K")) == [Confirm("local", "w", report(job, "K"))]


LETTERS = st.lists(st.sampled_from("KZD"), min_size=1, max_size=4)


@given(LETTERS, st.randoms(use_true_random=False))
def test_nothing_is_confirmed_or_cleaned_up_that_is_not_stored_whatever_order_things_come_in(
    letters: list[str], random: Random
) -> None:
    scheduler, message, jobs = begin(*(b"u%d@xeris.com" % number for number in range(len(letters))))
    reports = [report(job, letter) for job, letter in zip(jobs, letters, strict=True)] * 2
    random.shuffle(reports)
    waiting: list[Effect] = []
    on_disk: list[Effect] = []
    while reports or waiting:
        if reports and (not waiting or random.random() < 0.5):
            effects = tell(scheduler, reports.pop())
        else:
            # The end is recorded after the last state record (StoreEnd).
            ripe = [each for each in waiting if not isinstance(each, StoreEnd) or len(waiting) == 1]
            record = random.choice(ripe)
            waiting.remove(record)
            on_disk.append(record)
            effects = stored(scheduler, record)
        if any(isinstance(effect, WriteBounce) for effect in effects):
            effects += scheduler.step(events.Bounced(message, "bounce msg 1 qp 2"))
        for effect in effects:
            if isinstance(effect, Confirm):
                assert any(getattr(each, "confirm", None) == effect for each in on_disk)
            if isinstance(effect, Clean):
                assert not waiting and "Z" not in letters
        waiting += [effect for effect in effects if isinstance(effect, StoreDone | StoreState | StoreEnd)]
    assert (1 in scheduler.messages) == ("Z" in letters)
