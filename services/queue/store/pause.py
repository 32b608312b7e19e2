"""Whether an administrator has stopped deliveries: kept on the bus, so that a scheduler that begins knows it."""

from __future__ import annotations

import json

from qmail.bus import subjects
from qmail.bus.ports import Bus, Record


async def read_pause(bus: Bus) -> bool:
    """Whether deliveries are stopped. Raises BusDown, and ValueError for a record that does not say."""
    stored = await bus.last(subjects.CLAIMS, subjects.PAUSED)
    if stored is None:
        return False
    try:
        return bool(json.loads(stored.payload)["paused"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a record of a pause: {error}") from error


async def store_pause(bus: Bus, *, paused: bool) -> None:
    """Returns when every scheduler that begins will know it. Raises TemporaryError."""
    await bus.store(Record(subjects.PAUSED, json.dumps({"v": 1, "paused": paused}).encode()))
