"""The scheduler's decisions: what starts, what ends, what waits, what a silent worker means."""

from __future__ import annotations

from dataclasses import replace

from qmail.queue.deliveries import Heartbeat, Report, ReportGroup
from services.queue.decide import events
from services.queue.decide.effects import Forget, Read, StoreDone, StoreState, WriteBounce
from services.queue.decide.message import QueuedMessage, decode_state, encode_state
from tests.support.scheduling import Driven, make_envelope, make_scheduler


def done(queue: Driven) -> list[tuple[int, int]]:
    return [(effect.message.id, effect.number) for effect in queue.all_of(StoreDone)]


def saved(queue: Driven) -> list[int]:
    return [effect.message.id for effect in queue.all_of(StoreState)]


def bounces(queue: Driven) -> list[QueuedMessage]:
    return [effect.message for effect in queue.all_of(WriteBounce)]


def forgotten(queue: Driven) -> list[int]:
    return [effect.message_id for effect in queue.all_of(Forget)]


def read(queue: Driven) -> list[int]:
    return [effect.message_id for effect in queue.all_of(Read)]


def test_a_local_message_is_logged_in_qmails_words() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(7, b"joni@xeris.com"))
    queue.proceed()
    queue.answer(queue.jobs[0][1], "K", b"did 1+0+0\n", 1)
    assert queue.lines == [
        "new msg 7",
        "info msg 7: bytes 112 from <ari@xeris.com> qp 7 uid 901",
        "starting delivery 1: msg 7 to local joni@xeris.com",
        "status: local 1/10 remote 0/20",
        "delivery 1: success: did_1+0+0/",
        "status: local 0/10 remote 0/20",
        "end msg 7",
    ]
    assert done(queue) == [(7, 0)] and not saved(queue) and not queue.scheduler.messages


def test_concurrency_bounds_what_runs_and_the_rest_starts_in_order() -> None:
    queue = make_scheduler(local=2)
    for number in range(4):
        queue.accept(make_envelope(number, b"joni@xeris.com"))
    queue.proceed()
    assert [job.id for _, job in queue.jobs] == [0, 1]
    queue.answer(queue.jobs[0][1], "K", b"", 0)
    queue.proceed()
    assert [job.id for _, job in queue.jobs] == [0, 1, 2]


def test_a_new_order_counts_for_what_waits_and_leaves_what_runs() -> None:
    queue = make_scheduler(local=1)
    for number in range(4):
        queue.accept(make_envelope(number, b"joni@xeris.com"))
    queue.proceed()
    queue.step(events.Reloaded(replace(queue.scheduler.controls, concurrency={"local": 3, "remote": 20})))
    queue.proceed()
    assert [job.id for _, job in queue.jobs] == [0, 1, 2] and queue.lines[-1] == "status: local 3/3 remote 0/20"
    queue.step(events.Reloaded(replace(queue.scheduler.controls, concurrency={"local": 1, "remote": 20})))
    queue.answer(queue.jobs[0][1], "K", b"", 0)
    queue.proceed()
    assert len(queue.jobs) == 3, "two still run"
    for _, job in queue.jobs[1:]:
        queue.answer(job, "K", b"", 0)
    queue.proceed()
    assert [job.id for _, job in queue.jobs] == [0, 1, 2, 3]


def test_a_new_lifetime_counts_at_the_next_attempt() -> None:
    queue = make_scheduler(lifetime=1_000_000)
    queue.accept(make_envelope(1, b"joni@xeris.com"))
    queue.proceed()
    queue.answer(queue.jobs[0][1], "Z", b"not now", 1)
    queue.step(events.Reloaded(replace(queue.scheduler.controls, lifetime_seconds=50)))
    queue.proceed(200)
    queue.proceed()
    queue.answer(queue.jobs[1][1], "Z", b"not now", 201)
    assert any(line.startswith("delivery 2: failure: not_now") for line in queue.lines)


def test_nothing_starts_while_no_worker_is_there_or_the_queue_is_paused() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com"))
    queue.step(events.Proceed(0, 0))
    assert not queue.jobs, "nobody is there"
    queue.step(events.Paused(True))
    queue.proceed()
    assert not queue.jobs
    queue.step(events.Paused(False), events.Beat("local", Heartbeat("w", (), stopping=True), 0), events.Proceed(0, 0))
    assert not queue.jobs, "the only one is about to go"
    queue.step(events.Beat("local", Heartbeat("v", ()), 0))
    assert len(queue.jobs) == 1
    queue.accept(make_envelope(2, b"joni@xeris.com"))
    queue.step(events.SecondPassed(7, 7))
    assert len(queue.jobs) == 1, "it has not been heard of for long"


def test_a_deferral_is_saved_before_it_is_confirmed_and_waits_its_time() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"x@far.org"))
    queue.proceed()
    queue.answer(queue.jobs[0][1], "Z", b"no route\n", 0, "remote")
    assert saved(queue) == [1] and not done(queue)
    queue.proceed(399)
    assert len(queue.jobs) == 1
    queue.proceed(400)
    assert queue.jobs[1][1].attempt == 2


def test_a_message_that_waits_leaves_memory_and_comes_back_when_due() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"x@far.org", b"joni@xeris.com"))
    queue.proceed()
    local = next(job for channel, job in queue.jobs if channel == "local")
    remote = next(job for channel, job in queue.jobs if channel == "remote")
    queue.answer(local, "K", b"", 0)
    message = queue.scheduler.messages[1]
    queue.step(events.Slept(message))
    assert 1 in queue.scheduler.messages, "a delivery runs: it must stay"
    queue.answer(remote, "Z", b"no\n", 0, "remote")
    record = encode_state(message)
    queue.step(events.Slept(message))
    assert 1 not in queue.scheduler.messages and 1 in queue.scheduler.asleep
    queue.proceed(400)
    assert read(queue) == [1]
    queue.step(events.Woken(decode_state(record), 400))
    queue.proceed(400)
    assert [job.recipient.raw for _, job in queue.jobs[2:]] == [b"x@far.org"]


def test_flush_makes_sleeping_and_waiting_messages_due() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"x@far.org"))
    queue.accept(make_envelope(2, b"x@far.org"))
    queue.proceed()
    for _, job in list(queue.jobs):
        queue.answer(job, "Z", b"no\n", 0, "remote")
    asleep = queue.scheduler.messages[1]
    queue.step(events.Slept(asleep))
    queue.step(events.Flushed(10))
    assert read(queue) == [1]
    queue.step(events.Woken(decode_state(encode_state(asleep)), 10))
    queue.proceed(10)
    assert sorted(job.id for _, job in queue.jobs[2:]) == [1, 2]


def test_a_failure_is_bounced_once_every_recipient_is_done() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"sarah@xeris.com", b"joni@xeris.com"))
    queue.proceed()
    queue.answer(queue.jobs[0][1], "D", b"Sorry, no mailbox here by that name. (#5.1.1)\n", 0)
    assert not bounces(queue)
    queue.answer(queue.jobs[1][1], "K", b"", 0)
    assert [m.bounce for m in bounces(queue)] == [
        b"<sarah@xeris.com>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
    ]
    assert saved(queue) == [1, 1], "the bounce's text is on the disk before anything is confirmed"
    queue.step(events.Bounced(bounces(queue)[0], "bounce msg 1 qp 9"))
    assert queue.lines[-2:] == ["bounce msg 1 qp 9", "end msg 1"] and forgotten(queue) == [1]


def test_a_virtual_domains_prefix_is_not_shown_in_the_bounce() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"nobody@virt.example"))
    queue.proceed()
    assert queue.jobs[0][1].recipient.raw == b"joni-nobody@virt.example"
    queue.answer(queue.jobs[0][1], "D", b"no\n", 0)
    assert bounces(queue)[0].bounce.startswith(b"<nobody@virt.example>:\n")


def test_the_last_attempt_turns_a_deferral_into_a_failure() -> None:
    queue = make_scheduler(lifetime=100)
    queue.accept(make_envelope(1, b"joni@xeris.com"), 101)
    queue.proceed(101)
    queue.answer(queue.jobs[0][1], "Z", b"no\n", 101)
    assert "failure: no/I'm_not_going_to_try_again;" in queue.lines[-2]
    assert bounces(queue)


def test_a_worker_that_fell_silent_defers_and_its_late_success_counts() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com"))
    queue.proceed()
    first = queue.jobs[0][1]
    queue.step(events.Beat("local", Heartbeat("w", ((1, 0, 1),)), 4))
    queue.step(events.SecondPassed(9, 9))
    assert queue.scheduler.running() == 1, "heard 5 s ago"
    queue.step(events.SecondPassed(11, 11))
    assert queue.scheduler.running() == 0
    queue.proceed(16)
    assert queue.jobs[1][1].attempt == 2
    queue.answer(first, "K", b"did 1+0+0\n", 17)
    assert forgotten(queue) == [1] and not queue.scheduler.messages


def test_a_late_deferral_of_an_older_attempt_changes_nothing() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com"))
    queue.proceed()
    first = queue.jobs[0][1]
    queue.step(events.SecondPassed(7, 7))
    queue.proceed(12)
    queue.answer(first, "Z", b"late\n", 13)
    assert queue.scheduler.running() == 1 and not saved(queue)
    assert queue.confirmed[-1].attempt == 1


def test_a_repeated_report_is_confirmed_and_nothing_else() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com"))
    queue.proceed()
    job = queue.jobs[0][1]
    queue.answer(job, "K", b"", 0)
    queue.answer(job, "K", b"", 0)
    assert done(queue) == [(1, 0)] and len(queue.confirmed) == 2


def test_a_job_of_the_scheduler_before_us_is_adopted_not_started_again() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com"))
    queue.step(events.Adopted("local", 1, 0, 1, 0))
    queue.proceed()
    assert not queue.jobs and queue.scheduler.running() == 1


def test_a_running_job_of_a_channel_that_the_message_is_not_routed_to_any_more_is_adopted() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com", b"diva@xeris.com"))
    queue.step(events.Adopted("remote", 1, 0, 1, 0))
    queue.proceed()
    assert [(channel, job.recipient.raw) for channel, job in queue.jobs] == [("local", b"diva@xeris.com")]
    queue.step(events.Reported("remote", ReportGroup("w", (Report(1, 0, 1, "K", b""),)), 0))
    queue.answer(queue.jobs[0][1], "K", b"", 0)
    assert not queue.scheduler.messages and not queue.scheduler.running()


def test_a_message_to_be_held_waits_until_then() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com", hold_until=50))
    queue.proceed()
    assert not queue.jobs
    queue.proceed(50)
    assert len(queue.jobs) == 1


def test_verp_gives_each_recipient_its_own_sender() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com", sender=b"list-@xeris.com-@[]"))
    queue.proceed()
    assert queue.jobs[0][1].sender.raw == b"list-joni=xeris.com@xeris.com"


def test_a_date_set_forward_loses_no_job() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com"))
    queue.proceed()
    queue.step(events.SecondPassed(1_000_000, 3))
    assert queue.scheduler.running() == 1 and len(queue.jobs) == 1


def test_silence_while_nobody_can_be_heard_loses_no_job() -> None:
    queue = make_scheduler()
    queue.accept(make_envelope(1, b"joni@xeris.com"))
    queue.proceed()
    queue.step(events.SecondPassed(20, 20, deaf=True))
    queue.step(events.SecondPassed(21, 21))
    assert queue.scheduler.running() == 1
    queue.step(events.SecondPassed(27, 27))
    assert queue.scheduler.running() == 0, "it can be heard again, and is silent"
