"""The queue's rooms: each knows those before it (that the first one decides and no more: test_purity)."""

from __future__ import annotations

import pytest

from tests.support.source import ROOT, imports_of

QUEUE = ROOT / "services" / "queue"
ROOMS = ("decide", "store", "run", "api")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_itself_and_those_before_it(room: str) -> None:
    later = tuple(f"services.queue.{name}" for name in ROOMS[ROOMS.index(room) + 1 :])
    for path in (QUEUE / room).rglob("*.py"):
        assert not [name for name in imports_of(path) if later and name.startswith(later)], path
