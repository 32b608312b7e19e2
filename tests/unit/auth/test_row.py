from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from services.auth.budgets import RULES, BudgetTables, Kind
from services.auth.row import MAX_WAITING, MAX_WAITING_PER_NETWORK, NEWCOMER_SECONDS, PATIENCE_SECONDS, Attempt, Row


class Place:
    """A row and its budgets."""

    def __init__(self) -> None:
        self.tables, self.row = BudgetTables(), Row()

    def attempt(self, account: bytes, network: str, now: float = 0.0, *, known: bool = False) -> Attempt:
        if known:
            return Attempt(account, network, True, (self.tables.known(account, network),), None, now)
        address = self.tables.address(network)
        return Attempt(account, network, False, (*self.tables.strangers(account, network), address), address, now)

    def add(self, account: bytes, network: str, now: float = 0.0, *, known: bool = False) -> Attempt:
        attempt = self.attempt(account, network, now, known=known)
        assert self.row.add(attempt) is None
        return attempt

    def turns(self, now: float = 0.0) -> list[Attempt]:
        """All that may begin, each wrong as soon as it has."""
        found = []
        while (attempt := self.row.next(now)) is not None:
            found.append(attempt)
            for budget in attempt.budgets:
                budget.charge(now)
        return found


def test_networks_take_turns_and_in_a_network_its_accounts() -> None:
    place = Place()
    for number in range(3):
        place.add(b"a%d" % number, "192.0.2.1")
    place.add(b"a0", "192.0.2.1")
    place.add(b"b", "192.0.2.2")
    order = []
    while (attempt := place.row.next(0.0)) is not None:
        order.append((attempt.network[-1], attempt.account))
    assert order == [("1", b"a0"), ("2", b"b"), ("1", b"a1"), ("1", b"a2"), ("1", b"a0")]


def test_known_networks_go_first_then_those_without_a_wrong_password() -> None:
    place = Place()
    place.tables.address("192.0.2.1").charge(0.0)
    guesser = place.add(b"ari", "192.0.2.1")
    newcomer = place.add(b"joni", "192.0.2.2")
    at_home = place.add(b"diva", "192.0.2.3", known=True)
    assert [place.row.next(0.0) for _ in range(4)] == [at_home, newcomer, guesser, None]


def test_who_waits_for_a_budget_holds_nobody_up_and_the_row_says_when_to_look_again() -> None:
    place = Place()
    for _ in range(6):
        place.add(b"ari", "192.0.2.1")
    assert len(place.turns()) == RULES[Kind.PAIR].at_once
    other = place.add(b"joni", "192.0.2.1")
    assert place.turns() == [other]
    assert place.row.ready_at == RULES[Kind.PAIR].seconds
    assert len(place.turns(place.row.ready_at)) == 1
    assert len(place.row) == 0 and place.row.next(99.0) is None and place.row.ready_at == math.inf


def test_the_first_attempt_of_a_clean_network_waits_for_the_others_guesses_a_few_seconds_only() -> None:
    place = Place()
    for number in range(50):
        place.add(b"ari", f"192.0.2.{number}")
    assert len(place.turns()) == RULES[Kind.ACCOUNT].at_once
    place.add(b"ari", "198.51.100.1")
    assert len(place.turns(NEWCOMER_SECONDS)) == 46
    guessed = place.add(b"ari", "192.0.2.1", now=6.0)
    assert place.row.next(6.0) is None and place.row.ready_at > 6.0, "it has guessed already"
    assert guessed.waiting


def test_who_goes_beyond_a_budget_goes_behind_those_who_have_theirs() -> None:
    place = Place()
    for number in range(50):
        place.add(b"ari", f"192.0.2.{number}")
    assert len(place.turns()) == RULES[Kind.ACCOUNT].at_once
    elsewhere = place.add(b"joni", "198.51.100.1", now=NEWCOMER_SECONDS)
    order = place.turns(NEWCOMER_SECONDS)
    assert order.index(elsewhere) <= 1 and len(order) == 46, "one has what the account's budget has got back"


def test_a_network_has_a_bounded_row_and_the_longest_makes_room_for_others() -> None:
    place = Place()
    for number in range(MAX_WAITING_PER_NETWORK):
        place.add(b"%d" % number, "192.0.2.1")
    late = place.attempt(b"x", "192.0.2.1")
    assert place.row.add(late) is late
    for number in range(MAX_WAITING - MAX_WAITING_PER_NETWORK):
        place.add(b"ari", f"10.0.{number // 250}.{number % 250}")
    newcomer = place.attempt(b"joni", "198.51.100.1")
    displaced = place.row.add(newcomer)
    assert displaced is not None and displaced.network == "192.0.2.1" and not displaced.waiting
    assert newcomer.waiting and len(place.row) == MAX_WAITING
    assert place.row.add(place.attempt(b"joni", "198.51.100.2", known=True)) is None


def test_who_has_waited_too_long_is_told_and_in_order() -> None:
    place = Place()
    first = place.add(b"ari", "192.0.2.1", now=1.0)
    second = place.add(b"ari", "192.0.2.2", now=2.0)
    third = place.add(b"ari", "192.0.2.3", now=3.0)
    assert place.row.next(3.0) is first
    assert place.row.expired(2.0 + PATIENCE_SECONDS) == [second]
    assert place.row.expires_at() == 3.0 + PATIENCE_SECONDS
    assert place.row.expired(1000.0) == [third]
    assert len(place.row) == 0 and place.row.expires_at() == math.inf


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.integers(0, 20)), max_size=60))
def test_nobody_is_lost_whatever_comes(events: list[tuple[int, int, bool, int]]) -> None:
    place, now, served, gone = Place(), 0.0, 0, 0
    for account, network, known, seconds in events:
        now += seconds
        place.add(b"%d" % account, f"192.0.2.{network}", now, known=known)
        served += len(place.turns(now))
        gone += len(place.row.expired(now))
    while len(place.row):
        now = max(now, min(place.row.ready_at, place.row.expires_at()))
        served += len(place.turns(now))
        gone += len(place.row.expired(now))
    assert served + gone == len(events)
