"""Outstanding requests: one inbox for all of them, one timer for all of their time limits."""

from __future__ import annotations

import asyncio

from qmail.bus.ports import BusDown, Message

SWEEP_SECONDS = 0.5


class Requests:
    """Answers waited for, by number."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[asyncio.Future[Message], float]] = {}
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    def open(self, timeout_seconds: float) -> tuple[str, asyncio.Future[Message]]:
        """A fresh token and the future of its answer; the future fails with BusDown after the time limit."""
        loop = asyncio.get_running_loop()
        self._number += 1
        token = str(self._number)
        future: asyncio.Future[Message] = loop.create_future()
        self._waiting[token] = (future, loop.time() + timeout_seconds)
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)
        return token, future

    def answer(self, token: str, message: Message) -> None:
        """Give an answer to whoever waits for it."""
        waiting = self._waiting.pop(token, None)
        if waiting is not None and not waiting[0].done():
            waiting[0].set_result(message)

    def fail_all(self, reason: str) -> None:
        """The connection is gone: nobody will answer these."""
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            _fail(future, reason)

    def _sweep(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for token in [t for t, (_, deadline) in self._waiting.items() if deadline <= now]:
            future, _ = self._waiting.pop(token)
            _fail(future, "no answer in time")
        if self._waiting:
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)


def _fail(future: asyncio.Future[Message], reason: str) -> None:
    if not future.done():
        future.set_exception(BusDown(reason))
        # Whoever gave up waiting need not hear of it.
        future.exception()
