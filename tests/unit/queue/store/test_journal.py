"""What of JOURNAL may be forgotten: never a record that is needed, never an end before what it ends."""

from __future__ import annotations

import random

import pytest

from services.queue.store.journal import BEHIND_ENOUGH, DoneRecord, Journal, StatePositions


def known(*states: tuple[int, int], done: list[DoneRecord] | None = None, last: int = 0) -> Journal:
    """A journal after a restart."""
    journal, positions = Journal(), StatePositions()
    for sequence, message_id in states:
        positions.add(sequence, message_id)
    journal.adopt_states(positions, ended=set(), ours=set())
    journal.adopt_done(done or [], last)
    return journal


def store_state(journal: Journal, message_id: int, before: int, sequence: int) -> None:
    journal.state_stored(journal.begin(), message_id, before, sequence)


def store_done(journal: Journal, sequence: int, sequence_in: int = 0) -> None:
    journal.done_stored(journal.begin(), sequence, sequence_in)


def test_nothing_may_go_before_all_is_known() -> None:
    journal = Journal()
    store_state(journal, 1, 0, 10)
    assert journal.floor() == 0


def test_the_floor_is_the_first_record_that_is_needed() -> None:
    journal = known((5, 1), (7, 2), last=9)
    assert journal.floor() == 5
    store_state(journal, 1, 5, 10)
    assert journal.floor() == 7
    store_done(journal, 11)
    journal.state_ended(7)
    assert journal.floor() == 10, "message 1 waits"
    store_state(journal, 1, 10, 12)
    assert journal.floor() == 11, "the end of message 2 is needed until the removals are over"
    journal.release_done(1)
    assert journal.floor() == 12
    journal.state_ended(12)
    assert journal.floor() == 13


def test_a_done_record_stays_until_in_has_forgotten_its_messages() -> None:
    journal = known(last=3)
    store_done(journal, 4, sequence_in=100)
    journal.release_done(100)
    assert journal.floor() == 4
    journal.release_done(101)
    assert journal.floor() == 5


def test_what_is_on_its_way_holds_the_floor_though_later_records_are_known() -> None:
    journal = known(last=3)
    under_way = journal.begin()
    store_done(journal, 5)
    journal.release_done(1)
    assert journal.floor() == 4, "the first one may lie at 4"
    journal.state_stored(under_way, 1, 0, 4)
    assert journal.floor() == 4
    journal.state_ended(4)
    assert journal.floor() == 6


def test_of_what_ended_before_a_restart_nothing_is_needed() -> None:
    journal, positions = Journal(), StatePositions()
    for sequence, message_id in ((1, 1), (2, 2), (4, 3)):
        positions.add(sequence, message_id)
    store_state(journal, 3, 4, 6)  # it was delivered again while the rest was read
    journal.adopt_states(positions, ended={1}, ours={3})
    assert journal.oldest_states(9) == [(2, 2), (6, 3)]
    journal.adopt_done([DoneRecord(3, 0)], 5)
    assert journal.floor() == 2


def test_it_is_crowded_when_more_is_left_behind_than_is_needed() -> None:
    journal = known((1, 1), last=1)
    for number in range(2, BEHIND_ENOUGH + 3):
        store_state(journal, number, 0, number)
        journal.state_ended(number)
    assert not journal.is_crowded(nearly_full=False)
    assert journal.is_crowded(nearly_full=True)
    store_done(journal, BEHIND_ENOUGH + 3)
    journal.release_done(1)
    assert journal.is_crowded(nearly_full=False)
    store_state(journal, 1, 1, BEHIND_ENOUGH + 4)
    assert not journal.is_crowded(nearly_full=False) and journal.floor() == BEHIND_ENOUGH + 4


@pytest.mark.parametrize("seed", range(5))
def test_places_are_as_those_of_a_plain_table(seed: int) -> None:
    chance, positions, model = random.Random(seed), StatePositions(), dict[int, int]()
    for step in range(1, 6000):
        if chance.random() < 0.55:
            sequence = step * 3 if chance.random() < 0.9 else max(1, step * 3 - chance.randint(1, 50))
            positions.add(sequence, step)
            model[sequence] = step
        elif model:
            sequence = chance.choice(list(model)[:20]) if chance.random() < 0.9 else chance.randint(1, step * 3)
            positions.discard(sequence)
            model.pop(sequence, None)
        assert len(positions) == len(model)
    assert list(positions) == sorted(model.items())
