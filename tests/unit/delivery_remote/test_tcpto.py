"""Hosts that do not answer are left alone, but not for ever, and the table stays small."""

from __future__ import annotations

from services.delivery.remote.tcpto import Downed, TcpTo


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def table(size: int = 10) -> tuple[TcpTo, Clock]:
    clock = Clock()
    return TcpTo(clock, size), clock


def test_two_time_outs_apart_keep_an_address_off_for_about_an_hour() -> None:
    tcpto, clock = table()
    tcpto.timed_out("192.0.2.1")
    assert not tcpto.down("192.0.2.1")
    clock.now += 119
    tcpto.timed_out("192.0.2.1")  # a parallel delivery: the same time-out
    assert not tcpto.down("192.0.2.1")
    clock.now += 1
    tcpto.timed_out("192.0.2.1")
    assert tcpto.down("192.0.2.1")
    clock.now += 60 * 64 - 1
    assert tcpto.down("192.0.2.1")
    clock.now += 32 * 64
    assert not tcpto.down("192.0.2.1")


def test_an_answer_or_a_flush_forgets() -> None:
    for flush in (False, True):
        tcpto, clock = table()
        tcpto.timed_out("192.0.2.1")
        clock.now += 200
        tcpto.timed_out("192.0.2.1")
        assert tcpto.entries() == [Downed("192.0.2.1", 2, clock.now)]
        tcpto.clear() if flush else tcpto.succeeded("192.0.2.1")
        assert not tcpto.down("192.0.2.1")


def test_a_full_table_forgets_the_least_telling() -> None:
    tcpto, clock = table(size=2)
    tcpto.timed_out("192.0.2.1")
    clock.now += 200
    tcpto.timed_out("192.0.2.1")
    tcpto.timed_out("192.0.2.2")
    tcpto.timed_out("192.0.2.3")
    assert {host.address for host in tcpto.entries()} == {"192.0.2.1", "192.0.2.3"}
