"""What of IN may be purged, and what keeps it."""

from __future__ import annotations

from services.queue.store.floor import Floor


def known() -> Floor:
    floor = Floor()
    floor.complete()
    return floor


def test_nothing_may_go_before_all_older_records_are_noted() -> None:
    floor = Floor()
    floor.add(9, 900)
    assert floor.purgeable() <= 0 and floor.blocked() == 0, "a record below 9 may be needed"
    floor.add(3, 300)
    floor.complete()
    assert floor.floor() == 3


def test_the_floor_rises_to_the_oldest_live_record() -> None:
    floor = known()
    for sequence in range(1, 6):
        floor.add(sequence, sequence * 100)
    floor.dead(1, 100)
    floor.dead(3, 300)
    assert floor.floor() == 2 and floor.purgeable() == 1 and floor.blocked() == 1
    floor.dead(2, 200)
    assert floor.floor() == 4 and floor.oldest(1) == [(4, 400)]


def test_with_nothing_live_all_that_was_seen_may_go() -> None:
    floor = known()
    floor.seen(9)
    assert floor.floor() == 10 and floor.purgeable() == 9
    floor.purged(10)
    assert floor.purgeable() == 0


def test_a_record_is_needed_until_its_last_message_has_ended() -> None:
    floor = known()
    floor.add(1, 100)
    floor.add(1, 101)
    floor.dead(1, 100)
    assert floor.floor() == 1 and floor.oldest(5) == [(1, 101)]
    floor.dead(1, 101)
    assert floor.floor() == 2
