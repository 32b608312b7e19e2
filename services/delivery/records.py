"""What deliveries read of the bus, once for all that want it: messages accepted together share a record, and the
recipients of one message its envelope and body."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from qmail.bus.ports import Bus, Stored
from qmail.queue.deliveries import Job
from qmail.queue.fetch import Fetched, fetch

Key = TypeVar("Key", bound=Hashable)
Thing = TypeVar("Thing")

#: Records, and messages, that are kept a moment for the next jobs, and their bytes in all.
KEPT: Final = 64
KEPT_BYTES: Final = 4 * 1024 * 1024
#: What a recipient of a decoded envelope takes of memory.
RECIPIENT_BYTES: Final = 600


class ShortMemory(Generic[Key, Thing]):
    """Things that were read a moment ago, or are being read: whoever asks meanwhile gets the same."""

    def __init__(self, weigh: Callable[[Thing], int]) -> None:
        """weigh: how many bytes it takes; 0: it is not kept."""
        self._weigh = weigh
        self._kept: OrderedDict[Key, tuple[Thing, int]] = OrderedDict()
        self._bytes = 0
        self._reading: dict[Key, asyncio.Future[Thing]] = {}

    async def get(self, key: Key, read: Callable[[], Awaitable[Thing]]) -> Thing:
        """The thing, by `read` where it is not known. Raises what `read` raises, for all who wait for it."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept[0]
        reading = self._reading.get(key)
        if reading is not None:
            return await asyncio.shield(reading)
        reading = self._reading[key] = asyncio.get_running_loop().create_future()
        try:
            thing = await read()
        except BaseException as error:
            reading.set_exception(error)
            reading.exception()  # perhaps nobody waits
            raise
        finally:
            del self._reading[key]
        reading.set_result(thing)
        self._keep(key, thing)
        return thing

    def _keep(self, key: Key, thing: Thing) -> None:
        weight = self._weigh(thing)
        if not weight:
            return
        self._kept[key] = thing, weight
        self._bytes += weight
        while len(self._kept) > KEPT or self._bytes > KEPT_BYTES:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= gone


class MessageReader:
    """Reads messages for jobs. Records and messages are write-once: what was read stays true."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._records: ShortMemory[tuple[str, str], Stored | None] = ShortMemory(_weigh_record)
        self._messages: ShortMemory[int, Fetched] = ShortMemory(_weigh_message)

    async def fetch(self, job: Job) -> Fetched:
        """The message of a job. Raises as qmail.queue.fetch.fetch."""
        read = lambda: fetch(self._bus, job.id, held=job.held, position=job.position, read=self._read)
        return await self._messages.get(job.id, read)

    async def _read(self, stream: str, subject: str) -> Stored | None:
        return await self._records.get((stream, subject), lambda: self._bus.last(stream, subject))


def _weigh_record(stored: Stored | None) -> int:
    return 0 if stored is None else 1 + len(stored.payload)


def _weigh_message(fetched: Fetched) -> int:
    """One that has a single recipient is asked for once."""
    recipients = len(fetched.envelope.recipients)
    weight = len(fetched.body or b"") + len(fetched.header) + RECIPIENT_BYTES * recipients
    return weight if recipients > 1 else 0
