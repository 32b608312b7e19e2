"""The queue's rooms: each knows those before it, and the first one decides without a clock, a file or a wait."""

from __future__ import annotations

import ast

import pytest

from tests.support.source import ROOT, imports_of, nodes_of

QUEUE = ROOT / "services" / "queue"
ROOMS = ("decide", "store", "run", "api")
# Of the standard library: what cannot read, wait or ask for the time.
PURE = frozenset(
    ("__future__", "array", "bisect", "collections", "dataclasses", "heapq", "json", "math", "re", "typing")
)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_itself_and_those_before_it(room: str) -> None:
    later = tuple(f"services.queue.{name}" for name in ROOMS[ROOMS.index(room) + 1 :])
    for path in (QUEUE / room).rglob("*.py"):
        assert not [name for name in imports_of(path) if later and name.startswith(later)], path


def test_whoever_decides_has_no_way_to_the_world() -> None:
    for path in (QUEUE / "decide").rglob("*.py"):
        ours = ("services.queue.decide", "qmail.")
        others = {name.split(".")[0] for name in imports_of(path) if not name.startswith(ours)}
        assert others <= PURE, path
        assert not [node for node in nodes_of(path) if isinstance(node, ast.Await | ast.AsyncFunctionDef)], path
