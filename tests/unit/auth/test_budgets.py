from __future__ import annotations

import math

from services.auth.budgets import CLEAN_SECONDS, MAX_ENTRIES, RULES, Budget, Budgets, BudgetTables, Kind

PAIR = RULES[Kind.PAIR]


def guess(budget: Budget, now: float) -> None:
    budget.begin()
    budget.end()
    budget.charge(now)


def test_some_are_wrong_at_once_then_one_each_so_many_seconds() -> None:
    budget = Budget(Kind.PAIR, b"ari", "192.0.2.1")
    now, starts = 0.0, []
    for _ in range(PAIR.at_once + 3):
        now = budget.ready_at(now)
        starts.append(round(now, 3))
        guess(budget, now)
    assert starts == [0.0] * PAIR.at_once + [PAIR.seconds * n for n in (1, 2, 3)]


def test_what_is_being_verified_counts_until_it_is_known() -> None:
    budget = Budget(Kind.PAIR, b"ari", "192.0.2.1")
    for _ in range(PAIR.at_once):
        assert budget.ready_at(0.0) == 0.0
        budget.begin()
    assert budget.ready_at(0.0) == math.inf
    budget.end()
    assert budget.ready_at(0.0) == 0.0, "it was right"


def test_it_fills_up_again_and_a_right_password_forgives() -> None:
    budget = Budget(Kind.PAIR, b"ari", "192.0.2.1")
    guess(budget, 100.0)
    guess(budget, 101.0)
    assert (budget.wrong, budget.since) == (2, 100.0)
    budget.ready_at(101.0 + PAIR.seconds)
    assert budget.wrong == 2
    budget.ready_at(101.0 + 2 * PAIR.seconds)
    assert budget.wrong == 0 and not budget.is_clean(101.0 + 2 * PAIR.seconds)
    assert budget.is_clean(102.0 + CLEAN_SECONDS)
    guess(budget, 500.0)
    budget.forgive()
    assert budget.is_clean(500.0) and budget.ready_at(500.0) == 500.0


def test_charged_beyond_its_measure_it_owes_no_more_than_that() -> None:
    budget = Budget(Kind.ACCOUNT, b"ari", "")
    for _ in range(1000):
        budget.charge(0.0)
    assert budget.ready_at(0.0) == RULES[Kind.ACCOUNT].seconds


def test_a_table_is_bounded_and_forgets_the_longest_unused() -> None:
    table = Budgets(Kind.ADDRESS, max_entries=3)
    kept = table.of(b"", "a")
    for name in "bcad":
        table.of(b"", name)
    assert len(table) == 3 and table.of(b"", "a") is kept
    assert MAX_ENTRIES <= 100_000


def test_slowed_are_those_who_must_wait_and_can_be_lifted_by_account_or_network() -> None:
    tables = BudgetTables()
    for budget in (*tables.strangers(b"ari", "192.0.2.1"), tables.address("192.0.2.1"), tables.address("192.0.2.2")):
        for _ in range(6):
            guess(budget, 0.0)
    slowed = [(one.kind, one.account, one.network) for one in tables.slowed(0.0)]
    assert sorted(slowed) == [(Kind.ACCOUNT, b"ari", ""), (Kind.PAIR, b"ari", "192.0.2.1")]
    assert tables.forgive("joni", 0.0) == 0
    assert tables.forgive("ARI", 0.0) == 2 and not tables.slowed(0.0)
    assert tables.forgive("192.0.2.1", 0.0) == 1
    assert tables.forgive("all", 0.0) == 1
