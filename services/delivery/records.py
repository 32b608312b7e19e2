"""Reading records of the bus once for all deliveries that want them: messages accepted together share a record."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from qmail.bus.ports import Bus, Stored

# Records kept a moment for the next jobs of the same record, and their payloads' bytes in all.
KEPT_RECORDS = 64
KEPT_BYTES = 4 * 1024 * 1024


class RecordReader:
    """Bus.last with a short memory. IN and HOLD are write-once: a record that was read stays true."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._kept: OrderedDict[tuple[str, str], Stored] = OrderedDict()
        self._bytes = 0
        self._reading: dict[tuple[str, str], asyncio.Task[Stored | None]] = {}

    async def read(self, stream: str, subject: str) -> Stored | None:
        """The record of a subject, None where there is none. Raises BusDown."""
        key = (stream, subject)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(key))
        return await asyncio.shield(task)

    async def _read(self, key: tuple[str, str]) -> Stored | None:
        try:
            stored = await self._bus.last(*key)
        finally:
            del self._reading[key]
        if stored is not None:
            self._keep(key, stored)
        return stored

    def _keep(self, key: tuple[str, str], stored: Stored) -> None:
        self._kept[key] = stored
        self._bytes += len(stored.payload)
        while len(self._kept) > KEPT_RECORDS or self._bytes > KEPT_BYTES:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone.payload)
