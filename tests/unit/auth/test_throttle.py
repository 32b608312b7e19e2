from __future__ import annotations

from services.auth.throttle import FORGET_SECONDS, MAX_DELAY_SECONDS, MAX_WAIT_SECONDS, Throttle

KEY = (b"ari", "203.0.113.9")


def test_the_first_attempt_waits_for_nothing() -> None:
    assert Throttle().admit(KEY, 0.0) == 0.0


def test_waits_grow_to_a_bound_and_end_with_the_right_password() -> None:
    throttle = Throttle()
    now, waits = 0.0, []
    for _ in range(8):
        wait = throttle.admit(KEY, now)
        assert wait is not None
        waits.append(wait)
        now += wait
        throttle.failed(KEY, now)
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, MAX_DELAY_SECONDS, MAX_DELAY_SECONDS]
    throttle.succeeded(KEY)
    assert throttle.admit(KEY, now) == 0.0


def test_many_connections_at_once_gain_nothing() -> None:
    throttle = Throttle()
    throttle.failed(KEY, 0.0)
    starts = [throttle.admit(KEY, 0.0) for _ in range(100)]
    taken = [start for start in starts if start is not None]
    assert taken == [float(number) for number in range(1, len(taken) + 1)]
    assert taken[-1] <= MAX_WAIT_SECONDS and starts[-1] is None


def test_many_first_guesses_at_once_are_taken_one_after_another() -> None:
    throttle = Throttle()
    starts = [throttle.admit(KEY, 0.0) for _ in range(100)]
    taken = [start for start in starts if start is not None]
    assert taken[:3] == [0.0, 0.5, 1.0] and starts[-1] is None


def test_another_address_and_another_account_are_not_slowed() -> None:
    throttle = Throttle()
    for _ in range(5):
        throttle.failed(KEY, 0.0)
    assert throttle.admit((b"ari", "192.0.2.7"), 0.0) == 0.0
    assert throttle.admit((b"joni", KEY[1]), 0.0) == 0.0


def test_failures_are_forgotten_and_the_table_is_bounded() -> None:
    throttle = Throttle(max_entries=10)
    for number in range(100):
        throttle.failed((b"u%d" % number, "ip"), 0.0)
    assert len(throttle) == 10
    assert throttle.admit((b"u99", "ip"), FORGET_SECONDS + 1) == 0.0
    for number in range(100):
        throttle.admit((b"v%d" % number, "ip"), 0.0)
    assert len(throttle) == 10
