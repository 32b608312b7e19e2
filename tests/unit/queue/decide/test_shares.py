"""Deliveries that take long: they keep neither others' mail waiting nor, beyond a share, each other's places."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.accounts.assign import Accounts
from qmail.message.address import Address
from qmail.queue.deliveries import Heartbeat
from services.queue.decide import events
from services.queue.decide.shares import Shares, itself, share_of
from services.queue.run.account_of import account_of
from tests.support.scheduling import Driven, make_envelope, make_scheduler


def put(queue: Driven, first: int, count: int, recipient: bytes) -> None:
    for number in range(first, first + count):
        queue.accept(make_envelope(number, recipient))
    queue.proceed()


def slow(queue: Driven, keys: list[tuple[int, int]]) -> None:
    queue.step(events.Beat("local", Heartbeat("w", (), slow=tuple(keys)), 0))


def begun(queue: Driven, recipient: bytes) -> list[int]:
    return [job.id for _, job in queue.jobs if job.recipient.raw == recipient]


def test_ten_slow_deliveries_of_one_account_keep_no_other_account_s_mail_waiting() -> None:
    queue = make_scheduler(local=10)
    put(queue, 1, 10, b"joni@xeris.com")
    put(queue, 11, 3, b"diva@xeris.com")
    assert len(begun(queue, b"joni@xeris.com")) == 10 and not begun(queue, b"diva@xeris.com")
    slow(queue, [(number, 0) for number in range(1, 11)])
    assert begun(queue, b"diva@xeris.com") == [11, 12, 13]


def test_an_account_has_at_most_its_share_of_slow_deliveries_and_goes_on_as_they_end() -> None:
    queue = make_scheduler(local=4)
    put(queue, 1, 2, b"joni@xeris.com")
    slow(queue, [(1, 0), (2, 0)])
    put(queue, 3, 5, b"joni@xeris.com")
    assert begun(queue, b"joni@xeris.com") == [1, 2], "half of four"
    job = next(job for _, job in queue.jobs if job.id == 1)
    queue.answer(job, "K", b"did 0+0+1\n", 1)
    queue.proceed(1)
    assert begun(queue, b"joni@xeris.com") == [1, 2, 3]
    # Fast from now on: each that ends lets others begin, to the last.
    for _ in range(6):
        for _, job in queue.jobs[:]:
            queue.answer(job, "K", b"did 0+0+1\n", 2)
        queue.proceed(2)
    assert sorted(begun(queue, b"joni@xeris.com")) == [1, 2, 3, 4, 5, 6, 7]


def test_slow_deliveries_of_many_accounts_take_no_more_than_as_many_places_again() -> None:
    queue = make_scheduler(local=4)
    for account in range(20):
        put(queue, 100 + account, 1, b"u%d@xeris.com" % account)
        slow(queue, [(job.id, 0) for _, job in queue.jobs])
    assert len(queue.jobs) == 8
    assert queue.scheduler.status_line() == "status: local 8/4 remote 0/20"


def test_remote_deliveries_are_slow_by_nature() -> None:
    queue = make_scheduler(remote=2)
    put(queue, 1, 5, b"u@far.example")
    slow(queue, [(1, 0), (2, 0)])
    assert len(queue.jobs) == 2


def test_a_share_is_one_at_least_and_what_is_unknown_ends_quietly() -> None:
    assert [share_of(most) for most in (0, 1, 2, 10)] == [1, 1, 1, 5]
    shares: Shares[int] = Shares(itself)
    shares.ended((1, 0))
    assert not shares.hold(1, Address(b"a@b"), 1) and shares.slow == shares.held == 0
    assert shares.slowed((1, 0), Address(b"a@b")) and not shares.slowed((1, 0), Address(b"a@b"))
    assert shares.hold(7, Address(b"A@b"), 2) and list(shares.released(2)) == []
    shares.ended((1, 0))
    assert list(shares.released(2)) == [7] and shares.held == 0


@pytest.mark.parametrize(
    ("address", "account"),
    [(b"joni@xeris.com", b"joni"), (b"Joni-list@xeris.com", b"joni"), (b"nobody@xeris.com", b"alias")],
)
def test_an_account_is_whoever_users_assign_names(tmp_path: Path, address: bytes, account: bytes) -> None:
    (tmp_path / "assign").write_text("=joni:joni:2001:2001:/home/joni:::\n+joni-:joni:2001:2001:/home/joni:-::\n.\n")
    assert account_of(Accounts(tmp_path / "assign"), Address(address)) == account


def test_where_users_assign_cannot_be_read_the_address_stands_for_itself(tmp_path: Path) -> None:
    (tmp_path / "assign").write_text("nonsense\n")
    assert account_of(Accounts(tmp_path / "assign"), Address(b"Joni@xeris.com")) == b"joni@xeris.com"
