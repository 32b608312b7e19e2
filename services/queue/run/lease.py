"""The scheduler's lease: one scheduler works, the others stand by (record `lease`, its revision is the epoch)."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from typing import Final

from qmail.bus import subjects
from qmail.bus.ports import Bus, Message, Record, Subscription, TemporaryError, WrongSequence

#: Heard by the scheduler that holds the lease, and never answered: where nobody hears it, that one has died.
SUBJECT: Final = "scheduler"
LEASE_SECONDS = 15
# A holder that nobody hears of on the bus for so long has died, and need not be waited for.
GONE_SECONDS = 3
RENEW_SECONDS = 5
ASK_SECONDS = 1.0


class Lease:
    """Who may schedule. A holder that cannot renew in time must end at once: another may have begun.

    The record says until when it holds, by the holder's time of day. Before that it is free when the holder has gone
    from the bus, where it hears a subject of its own as long as it lives; and when we have watched it stand still for
    as long as a lease lasts, though its end lies in the future (the clock was set back). Whoever is wronged hears of it
    with the next renewal, and the epoch keeps the workers from obeying two."""

    def __init__(self, bus: Bus, on_lost: Callable[[], None], clock: Callable[[], float] = time.time) -> None:
        self._bus = bus
        self._on_lost = on_lost
        self._clock = clock
        self._owner = secrets.token_hex(8)
        self._sequence = 0
        self._task: asyncio.Task[None] | None = None
        self._life: Subscription | None = None
        self._held_at = float("-inf")
        self.epoch = 0

    def held_at(self) -> float:
        """A moment, by the loop's clock, at which it was ours, and with it all that a scheduler may write: whoever has
        taken it since began later. None is looked for now: a process that stood still cannot know more than this."""
        return self._held_at

    async def acquire(self) -> bool:
        """Wait for the lease and take it; whether deliveries that another scheduler began may still run."""
        loop = asyncio.get_running_loop()
        seen, since = 0, loop.time()
        while True:
            try:
                stored = await self._bus.last(subjects.CLAIMS, subjects.LEASE)
                if stored is not None and stored.sequence != seen:
                    seen, since = stored.sequence, loop.time()
                if stored is None or await self._is_free(json.loads(stored.payload), loop.time() - since):
                    self._sequence = await self._write(stored.sequence if stored else 0, LEASE_SECONDS)
                    self.epoch = self._sequence
                    self._life = await self._bus.subscribe(SUBJECT, _hear)
                    self._task = asyncio.create_task(self._keep())
                    return stored is not None and not json.loads(stored.payload).get("quiet", False)
            except (WrongSequence, TemporaryError):
                # Somebody else was faster, or the bus is away: then the holder cannot renew either.
                since = loop.time()
            await asyncio.sleep(ASK_SECONDS)

    async def _is_free(self, record: dict[str, object], stands_still_seconds: float) -> bool:
        if not record["owner"] or float(str(record["until"])) < self._clock() or stands_still_seconds > LEASE_SECONDS:
            return True
        return stands_still_seconds > GONE_SECONDS and not await self._bus.is_heard(SUBJECT)

    async def _write(self, expected: int, seconds: float, *, quiet: bool = False) -> int:
        record = {"owner": self._owner if seconds else "", "until": self._clock() + seconds, "quiet": quiet}
        asked_at = asyncio.get_running_loop().time()
        stored = Record(subjects.LEASE, json.dumps(record).encode())
        sequence = await self._bus.store(stored, expected_sequence=expected)
        self._held_at = asked_at
        return sequence

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                self._sequence = await self._write(self._sequence, LEASE_SECONDS)
                renewed = loop.time()
            except WrongSequence:
                if not await self._still_ours():
                    self._on_lost()
                    return
            except TemporaryError:
                # Without the bus nobody can take over either; with it back the revision decides.
                if self._bus.connected and loop.time() - renewed > LEASE_SECONDS:
                    self._on_lost()
                    return

    async def _still_ours(self) -> bool:
        """A renewal whose answer was lost moved the revision on: then the record still names us."""
        try:
            stored = await self._bus.last(subjects.CLAIMS, subjects.LEASE)
        except TemporaryError:
            return True
        if stored is None or json.loads(stored.payload)["owner"] != self._owner:
            return False
        self._sequence = stored.sequence
        return True

    async def release(self, *, quiet: bool) -> None:
        """Give the lease back, so that the next scheduler need not wait for its end.

        quiet: no delivery of ours runs any more, so that it need not listen for one."""
        if self._task is None:
            return
        self._task.cancel()
        try:
            if self._life is not None:
                await self._life.stop()
            await self._write(self._sequence, 0, quiet=quiet)
        except (TemporaryError, WrongSequence):
            return


def _hear(message: Message) -> None:
    """That somebody hears it is the answer."""
