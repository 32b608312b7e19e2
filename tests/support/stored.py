"""Finding accepted messages on a bus: where each lies in IN."""

from __future__ import annotations

from qmail.bus import subjects
from qmail.bus.ports import Bus
from qmail.queue.deliveries import RecordPosition
from qmail.queue.fetch import Fetched, fetch
from qmail.queue.record_position import read_positions


async def positions(bus: Bus) -> dict[int, RecordPosition]:
    """The place of every message in IN; a message with a large envelope is alone in its record."""
    found: dict[int, RecordPosition] = {}
    for subject in await bus.subjects(subjects.IN, "in.*"):
        stored = await bus.last(subjects.IN, subject)
        assert stored is not None
        for envelope, position in read_positions(stored):
            found[position.record if envelope is None else envelope.id] = position
    return found


async def fetch_all(bus: Bus) -> list[Fetched]:
    """Every message in IN, in the order of their numbers."""
    return [
        await fetch(bus, message_id, held=False, position=position)
        for message_id, position in sorted((await positions(bus)).items())
    ]
