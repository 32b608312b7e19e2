"""Numbers and due times of sleeping messages, against a set and a sorted list; what a million costs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.queue.decide.waiting import DueTimes, NumberSet

NUMBERS = st.integers(0, 40)


def numbers_of(numbers: Iterable[int]) -> NumberSet:
    found = NumberSet()
    for number in numbers:
        found.add(number)
    return found


@given(st.lists(st.tuples(st.booleans(), NUMBERS)))
def test_a_number_set_is_a_set(steps: list[tuple[bool, int]]) -> None:
    ours, theirs = NumberSet(), set[int]()
    for add, number in steps:
        (ours.add if add else ours.discard)(number)
        (theirs.add if add else theirs.discard)(number)
        assert len(ours) == len(theirs)
    assert list(ours) == sorted(theirs)
    assert all((number in ours) == (number in theirs) for number in range(41))


def test_a_number_set_of_many_parts_is_a_set() -> None:
    random, theirs = Random(4), set(range(0, 30_000, 3))
    ours = numbers_of(theirs)
    for _ in range(30_000):
        number = random.randrange(-10, 30_010)
        if random.random() < 0.5:
            ours.add(number)
            theirs.add(number)
        else:
            ours.discard(number)
            theirs.discard(number)
    assert list(ours) == sorted(theirs)
    assert all((number in ours) == (number in theirs) for number in range(-10, 30_010))
    for number in list(theirs):
        ours.discard(number)
    assert not list(ours) and len(ours) == 0


@given(st.sets(NUMBERS), st.sets(NUMBERS))
def test_what_one_set_takes_from_another_is_in_it(some: set[int], others: set[int]) -> None:
    ours = numbers_of(some)
    kept = ours.copy()
    ours.take(numbers_of(others))
    assert list(ours) == sorted(some | others) and len(ours) == len(some | others)
    ours.add(50)
    assert list(kept) == sorted(some)


@given(st.lists(st.tuples(NUMBERS, NUMBERS)), NUMBERS)
def test_due_times_come_in_order_of_time_and_then_of_coming(entries: list[tuple[int, int]], now: int) -> None:
    times = DueTimes()
    for due, number in entries:
        times.push(due, number)
    found = []
    while (entry := times.pop(now)) is not None:
        found.append(entry)
    expected = sorted(entries, key=lambda entry: entry[0])
    assert found == [entry for entry in expected if entry[0] <= now]
    times.hasten(now)
    rest = []
    while (entry := times.pop(now)) is not None:
        rest.append(entry)
    assert rest == [(now, number) for due, number in expected if due > now]


def test_what_is_hastened_while_some_is_being_taken_out_loses_nothing() -> None:
    times = DueTimes()
    for number in range(4):
        times.push(5, number)
    assert times.pop(5) == (5, 0)
    times.push(9, 4)
    times.push(5, 5)
    times.hasten(6)
    taken = DueTimes()
    taken.push(8, 7)
    times.take(taken)
    found = []
    while (entry := times.pop(8)) is not None:
        found.append(entry)
    assert found == [(6, 1), (6, 2), (6, 3), (6, 5), (6, 4), (8, 7)]


def test_a_sleeping_message_costs_some_twenty_bytes() -> None:
    count = 100_000
    tracemalloc.start()
    try:
        numbers, times = NumberSet(), DueTimes()
        for number in range(count):
            numbers.add(10**17 + number)
            times.push(1_700_000_000 + number % 4000, 10**17 + number)
        cost, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cost / count < 30, "and what 4,000 different seconds cost"
