"""An event loop whose clock jumps to the next timer when nothing is ready: pauses take no time.

For code without sockets and threads; what waits for neither a timer nor a turn of the loop would wait for ever, and
is reported.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_STEP_SECONDS = 0.25


class NobodyWorks(AssertionError):
    """Everything waits for something that cannot happen."""


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise NobodyWorks
        ready = super().select(0)
        if not ready:
            self.now += max(0.0, timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """asyncio.run on such a loop."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


async def until(done: Callable[[], bool], seconds: float = 600.0) -> None:
    """Return when `done()` is true; AssertionError after that many seconds of the loop's time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not done():
        assert loop.time() < end, f"not within {seconds} s"
        await asyncio.sleep(_STEP_SECONDS)


async def time_passes(seconds: float) -> None:
    """Let so much of the loop's time pass; it takes none of ours."""
    await asyncio.sleep(seconds)
