"""Claiming a node number on the bus, so that no two processes ever give out one message number (qmail.message.ids)."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from qmail.bus import subjects
from qmail.bus.ports import Bus, BusDown, Record, TemporaryError, WrongSequence
from qmail.message.ids import NODES, IdSource

# How far ahead numbers are claimed, and how often the claim is renewed.
LEASE_SECONDS = 120
RENEW_SECONDS = 30
TRIES = 100
WAIT_SECONDS = 0.5


class NodeLease:
    """One process's claim: a record `node.<n>` with the owner and the last millisecond it may use."""

    def __init__(self, bus: Bus, ids: IdSource, clock: Callable[[], float] = time.time) -> None:
        self._bus, self._ids, self._clock = bus, ids, clock
        self._owner = secrets.token_hex(8)
        self._node = -1
        self._sequence = 0
        self._renewing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def claim(self) -> None:
        """Take a free node and keep it, waiting until the bus has its records.

        Raises TemporaryError where none of the tries found one."""
        await self._find()
        self._task = asyncio.create_task(self._keep())

    async def _find(self) -> None:
        for _ in range(TRIES):
            try:
                if await self._take(secrets.randbelow(NODES)):
                    return
            except WrongSequence:
                continue
            except BusDown:
                await asyncio.sleep(WAIT_SECONDS)
        raise TemporaryError("no free node number for message numbers")

    async def _take(self, node: int) -> bool:
        stored = await self._bus.last(subjects.CLAIMS, subjects.node(node))
        now_ms = int(self._clock() * 1000)
        used_ms, sequence = 0, 0
        if stored is not None:
            record = json.loads(stored.payload)
            used_ms, sequence = record["until"], stored.sequence
            if record["owner"] and used_ms > now_ms:
                return False
        # A node whose record lies in our future was used with a clock that has been set back since: leave it.
        if used_ms > now_ms:
            return False
        until = now_ms + LEASE_SECONDS * 1000
        self._sequence = await self._write(node, self._owner, until, sequence)
        self._node = node
        self._ids.grant(node, max(used_ms, now_ms), until)
        return True

    async def _write(self, node: int, owner: str, until_ms: int, expected: int) -> int:
        payload = json.dumps({"owner": owner, "until": until_ms}).encode()
        return await self._bus.store(Record(subjects.node(node), payload), expected_sequence=expected)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(TemporaryError):
                await self.renew()

    async def renew(self) -> None:
        """Claim the node for as long again: a record on stable storage, which shows that there can be more.

        Does nothing before the claim. Raises TemporaryError."""
        if self._node < 0:
            return
        async with self._renewing:
            try:
                await self._prolong()
            except WrongSequence:
                # An unanswered renewal was stored after all, or somebody took the node when it had run out.
                await self._claim_again()

    async def _prolong(self) -> None:
        until = max(int(self._clock() * 1000), self._ids.last_ms) + LEASE_SECONDS * 1000
        self._sequence = await self._write(self._node, self._owner, until, self._sequence)
        self._ids.grant(self._node, 0, until)

    async def _claim_again(self) -> None:
        stored = await self._bus.last(subjects.CLAIMS, subjects.node(self._node))
        if stored is not None and json.loads(stored.payload)["owner"] == self._owner:
            self._sequence = stored.sequence
            return
        await self._find()

    async def release(self) -> None:
        """Give the node back: the next owner starts after the last number given out."""
        if self._task is not None:
            self._task.cancel()
        node, self._node = self._node, -1
        if node >= 0:
            try:
                await self._write(node, "", self._ids.last_ms, self._sequence)
            except (TemporaryError, WrongSequence):
                return
