"""One role's connection to the bus in memory, which can be cut: to the others the role is then dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qmail.bus.ports import Follower, Message, Record, Stored, StreamInfo, Subscription
from tests.support.memory_bus import MemoryBus, MemorySubscription


class Line:
    """A Bus. `cut_after_request` cuts it when the answer to a request of that subject has come; what is published
    under `muted` is lost, and what is said to it while it is `deaf`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._alive = True
        self._subscriptions: list[MemorySubscription] = []
        self.cut_after_request = ""
        self.muted = ""
        self.deaf = False
        self.is_cut = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._bus.connected

    def cut(self) -> None:
        """From now on nothing goes out, nothing comes in, and whoever waits waits for ever."""
        self._alive = False
        for subscription in self._subscriptions:
            self._bus.forget(subscription)
        self.is_cut.set()

    async def _pass(self) -> None:
        if not self._alive:
            await asyncio.Future()

    def on_reconnected(self, callback: Callable[[], None]) -> None:
        def back() -> None:
            if self._alive:
                callback()

        self._bus.on_reconnected(back)

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        if self._alive and not (self.muted and subject.startswith(self.muted)):
            self._bus.publish(subject, payload, reply)

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        await self._pass()
        answer = await self._bus.request(subject, payload, timeout_seconds)
        if subject == self.cut_after_request:
            self.cut()
        await self._pass()
        return answer

    async def is_heard(self, subject: str) -> bool:
        await self._pass()
        return await self._bus.is_heard(subject)

    async def subscribe(self, subject: str, callback: Callable[[Message], None], group: str = "") -> Subscription:
        def hear(message: Message) -> None:
            if self._alive and not self.deaf:
                callback(message)

        subscription = await self._bus.subscribe(subject, hear, group)
        self._subscriptions.append(subscription)
        return subscription

    async def store(self, record: Record, expected_sequence: int | None = None) -> int:
        await self._pass()
        return await self._bus.store(record, expected_sequence)

    async def last(self, stream: str, subject: str) -> Stored | None:
        await self._pass()
        return await self._bus.last(stream, subject)

    async def follow(
        self,
        stream: str,
        consumer: str,
        callback: Callable[[Stored], None],
        caught_up: Callable[[], None],
        *,
        after: int = 0,
        paced: bool = False,
    ) -> Follower:
        def hear(stored: Stored) -> None:
            if self._alive:
                callback(stored)

        return await self._bus.follow(stream, consumer, hear, caught_up, after=after, paced=paced)

    async def info(self, stream: str) -> StreamInfo:
        await self._pass()
        return await self._bus.info(stream)

    async def subjects(self, stream: str, pattern: str) -> list[str]:
        await self._pass()
        return await self._bus.subjects(stream, pattern)

    async def purge(self, stream: str, subject: str = "", below_sequence: int = 0) -> None:
        await self._pass()
        await self._bus.purge(stream, subject, below_sequence)

    async def close(self) -> None:
        self.cut()
