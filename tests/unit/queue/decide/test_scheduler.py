"""The scheduler's decisions: what starts, what ends, what waits, what a silent worker means."""

from __future__ import annotations

from dataclasses import replace

from qmail.queue.talk.reports import Report
from services.queue.decide.message import decode_state, encode_state
from tests.support.scheduling import accept, answer, make_envelope, make_scheduler


def test_a_local_message_is_logged_in_qmails_words() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(7, b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    answer(scheduler, out.jobs[0][1], "K", b"did 1+0+0\n", 1)
    assert out.lines == [
        "new msg 7",
        "info msg 7: bytes 112 from <ari@xeris.com> qp 7 uid 901",
        "starting delivery 1: msg 7 to local joni@xeris.com",
        "status: local 1/10 remote 0/20",
        "delivery 1: success: did_1+0+0/",
        "status: local 0/10 remote 0/20",
        "end msg 7",
    ]
    assert out.done == [(7, 0)] and not out.saved and not scheduler.messages


def test_concurrency_bounds_what_runs_and_the_rest_starts_in_order() -> None:
    scheduler, out = make_scheduler(local=2)
    for number in range(4):
        accept(scheduler, make_envelope(number, b"joni@xeris.com"), number, 0)
    scheduler.pump(0)
    assert [job.id for _, job in out.jobs] == [0, 1]
    answer(scheduler, out.jobs[0][1], "K", b"", 0)
    scheduler.pump(0)
    assert [job.id for _, job in out.jobs] == [0, 1, 2]


def test_a_new_order_counts_for_what_waits_and_leaves_what_runs() -> None:
    scheduler, out = make_scheduler(local=1)
    for number in range(4):
        accept(scheduler, make_envelope(number, b"joni@xeris.com"), number, 0)
    scheduler.pump(0)
    scheduler.obey(replace(scheduler.order, concurrency={"local": 3, "remote": 20}))
    scheduler.pump(0)
    assert [job.id for _, job in out.jobs] == [0, 1, 2] and out.lines[-1] == "status: local 3/3 remote 0/20"
    scheduler.obey(replace(scheduler.order, concurrency={"local": 1, "remote": 20}))
    answer(scheduler, out.jobs[0][1], "K", b"", 0)
    scheduler.pump(0)
    assert len(out.jobs) == 3, "two still run"
    for _, job in out.jobs[1:]:
        answer(scheduler, job, "K", b"", 0)
    scheduler.pump(0)
    assert [job.id for _, job in out.jobs] == [0, 1, 2, 3]


def test_a_new_lifetime_counts_at_the_next_attempt() -> None:
    scheduler, out = make_scheduler(lifetime=1_000_000)
    accept(scheduler, make_envelope(1, b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    answer(scheduler, out.jobs[0][1], "Z", b"not now", 1)
    scheduler.obey(replace(scheduler.order, lifetime_seconds=50))
    scheduler.tick(200)
    scheduler.pump(0)
    answer(scheduler, out.jobs[1][1], "Z", b"not now", 201)
    assert any(line.startswith("delivery 2: failure: not_now") for line in out.lines)


def test_nothing_starts_while_no_worker_is_there_or_the_queue_is_paused() -> None:
    scheduler, out = make_scheduler()
    scheduler.accepting_work["local"] = False
    accept(scheduler, make_envelope(1, b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    assert not out.jobs
    scheduler.accepting_work["local"] = True
    scheduler.paused = True
    scheduler.pump(0)
    assert not out.jobs
    scheduler.paused = False
    scheduler.pump(0)
    assert len(out.jobs) == 1


def test_a_deferral_is_saved_before_it_is_confirmed_and_waits_its_time() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"x@far.org"), 1, 0)
    scheduler.pump(0)
    answer(scheduler, out.jobs[0][1], "Z", b"no route\n", 0, "remote")
    assert out.saved == [1] and not out.done
    scheduler.tick(399)
    scheduler.pump(399)
    assert len(out.jobs) == 1
    scheduler.tick(400)
    scheduler.pump(400)
    assert out.jobs[1][1].attempt == 2


def test_a_message_that_waits_leaves_memory_and_comes_back_when_due() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"x@far.org", b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    local = next(job for channel, job in out.jobs if channel == "local")
    remote = next(job for channel, job in out.jobs if channel == "remote")
    answer(scheduler, local, "K", b"", 0)
    message = scheduler.messages[1]
    assert not scheduler.sleep(message), "a delivery runs: it must stay"
    answer(scheduler, remote, "Z", b"no\n", 0, "remote")
    record = encode_state(message)
    assert scheduler.sleep(message) and 1 not in scheduler.messages
    scheduler.tick(400)
    assert out.loads == [1]
    scheduler.wake(decode_state(record), 400)
    scheduler.pump(400)
    assert [job.recipient.raw for _, job in out.jobs[2:]] == [b"x@far.org"]


def test_flush_makes_sleeping_and_waiting_messages_due() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"x@far.org"), 1, 0)
    accept(scheduler, make_envelope(2, b"x@far.org"), 2, 0)
    scheduler.pump(0)
    for _, job in list(out.jobs):
        answer(scheduler, job, "Z", b"no\n", 0, "remote")
    asleep = scheduler.messages[1]
    scheduler.sleep(asleep)
    scheduler.flush(10)
    assert out.loads == [1]
    scheduler.wake(decode_state(encode_state(asleep)), 10)
    scheduler.pump(10)
    assert sorted(job.id for _, job in out.jobs[2:]) == [1, 2]


def test_a_failure_is_bounced_once_every_recipient_is_done() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"sarah@xeris.com", b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    answer(scheduler, out.jobs[0][1], "D", b"Sorry, no mailbox here by that name. (#5.1.1)\n", 0)
    assert not out.bounces
    answer(scheduler, out.jobs[1][1], "K", b"", 0)
    assert [m.bounce for m in out.bounces] == [b"<sarah@xeris.com>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"]
    assert out.saved == [1, 1], "the bounce's text is on the disk before anything is confirmed"
    scheduler.bounced(out.bounces[0], "bounce msg 1 qp 9")
    assert out.lines[-2:] == ["bounce msg 1 qp 9", "end msg 1"] and out.forgotten == [1]


def test_a_virtual_domains_prefix_is_not_shown_in_the_bounce() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"nobody@virt.example"), 1, 0)
    scheduler.pump(0)
    assert out.jobs[0][1].recipient.raw == b"joni-nobody@virt.example"
    answer(scheduler, out.jobs[0][1], "D", b"no\n", 0)
    assert out.bounces[0].bounce.startswith(b"<nobody@virt.example>:\n")


def test_the_last_attempt_turns_a_deferral_into_a_failure() -> None:
    scheduler, out = make_scheduler(lifetime=100)
    accept(scheduler, make_envelope(1, b"joni@xeris.com"), 1, 101)
    scheduler.pump(101)
    answer(scheduler, out.jobs[0][1], "Z", b"no\n", 101)
    assert "failure: no/I'm_not_going_to_try_again;" in out.lines[-2]
    assert out.bounces


def test_a_worker_that_fell_silent_defers_and_its_late_success_counts() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    first = out.jobs[0][1]
    scheduler.heartbeat("local", "w", [(1, 0, 1)], 4)
    scheduler.lose(9, 9)
    assert scheduler.running() == 1, "heard 5 s ago"
    scheduler.lose(11, 11)
    assert scheduler.running() == 0
    scheduler.tick(16)
    scheduler.pump(16)
    assert out.jobs[1][1].attempt == 2
    answer(scheduler, first, "K", b"did 1+0+0\n", 17)
    assert out.forgotten == [1] and not scheduler.messages


def test_a_late_deferral_of_an_older_attempt_changes_nothing() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    first = out.jobs[0][1]
    scheduler.lose(7, 7)
    scheduler.tick(12)
    scheduler.pump(12)
    answer(scheduler, first, "Z", b"late\n", 13)
    assert scheduler.running() == 1 and not out.saved
    assert out.confirmed[-1].attempt == 1


def test_a_repeated_report_is_confirmed_and_nothing_else() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    job = out.jobs[0][1]
    answer(scheduler, job, "K", b"", 0)
    answer(scheduler, job, "K", b"", 0)
    assert out.done == [(1, 0)] and len(out.confirmed) == 2


def test_a_job_of_the_scheduler_before_us_is_adopted_not_started_again() -> None:
    scheduler, out = make_scheduler()
    scheduler.accepting_work["local"] = False
    accept(scheduler, make_envelope(1, b"joni@xeris.com"), 1, 0)
    scheduler.adopt("local", "w", 1, 0, 1, 0)
    scheduler.accepting_work["local"] = True
    scheduler.pump(0)
    assert not out.jobs and scheduler.running() == 1


def test_a_running_job_of_a_channel_that_the_message_is_not_routed_to_any_more_is_adopted() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"joni@xeris.com", b"diva@xeris.com"), 1, 0)
    scheduler.adopt("remote", "w", 1, 0, 1, 0)
    scheduler.pump(0)
    assert [(channel, job.recipient.raw) for channel, job in out.jobs] == [("local", b"diva@xeris.com")]
    scheduler.report("remote", "w", [Report(1, 0, 1, "K", b"")], 0)
    answer(scheduler, out.jobs[0][1], "K", b"", 0)
    assert not scheduler.messages and not scheduler.running()


def test_a_message_to_be_held_waits_until_then() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"joni@xeris.com", hold_until=50), 1, 0)
    scheduler.pump(0)
    assert not out.jobs
    scheduler.tick(50)
    scheduler.pump(50)
    assert len(out.jobs) == 1


def test_verp_gives_each_recipient_its_own_sender() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"joni@xeris.com", sender=b"list-@xeris.com-@[]"), 1, 0)
    scheduler.pump(0)
    assert out.jobs[0][1].sender.raw == b"list-joni=xeris.com@xeris.com"


def test_a_date_set_forward_loses_no_job() -> None:
    scheduler, out = make_scheduler()
    accept(scheduler, make_envelope(1, b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    scheduler.lose(1_000_000, 3)
    assert scheduler.running() == 1 and len(out.jobs) == 1


def test_silence_while_nobody_can_be_heard_loses_no_job() -> None:
    scheduler, _ = make_scheduler()
    accept(scheduler, make_envelope(1, b"joni@xeris.com"), 1, 0)
    scheduler.pump(0)
    scheduler.excuse(20)
    scheduler.lose(21, 21)
    assert scheduler.running() == 1
    scheduler.lose(27, 27)
    assert scheduler.running() == 0, "it can be heard again, and is silent"
