"""Two verifications at a time, in the order of the row; each attempt waits here for its verdict."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final

from services.auth.modules.module import Verdict
from services.auth.row import Attempt, Row

#: argon2id takes 19 MB and a core each.
CONCURRENT_VERIFICATIONS: Final = 2


class Verifications:
    """Call in the loop's thread; `close`, which ends the threads, when done."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._row = Row()
        self._jobs: dict[Attempt, tuple[asyncio.Future[Verdict | None], Callable[[], Verdict]]] = {}
        self._running = 0
        self._timer: asyncio.TimerHandle | None = None

    async def verdict(self, attempt: Attempt, verify: Callable[[], Verdict]) -> Verdict | None:
        """What `verify` says, called in a thread once it is the attempt's turn; a wrong password has been charged.

        None: its turn did not come. Raises what `verify` does."""
        future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
        self._jobs[attempt] = (future, verify)
        displaced = self._row.add(attempt)
        if displaced is not None:
            self._give_up(displaced)
        self.go_on()
        return await future

    def close(self) -> None:
        """What still waits gets no verdict."""
        if self._timer is not None:
            self._timer.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _give_up(self, attempt: Attempt) -> None:
        future, _ = self._jobs.pop(attempt)
        if not future.done():
            future.set_result(None)

    def go_on(self) -> None:
        """Begin what may begin now; also to be called where budgets were given back."""
        now = asyncio.get_running_loop().time()
        for attempt in self._row.expired(now):
            self._give_up(attempt)
        while self._running < CONCURRENT_VERIFICATIONS:
            turn = self._row.next(now)
            if turn is None:
                break
            self._start(turn)
        full = self._running >= CONCURRENT_VERIFICATIONS
        self._wake_at(min(math.inf if full else self._row.ready_at, self._row.expires_at()))

    def _start(self, attempt: Attempt) -> None:
        self._running += 1
        for budget in attempt.budgets:
            budget.begin()
        _, verify = self._jobs[attempt]
        job = asyncio.get_running_loop().run_in_executor(self._threads, verify)
        job.add_done_callback(partial(self._ended, attempt))

    def _ended(self, attempt: Attempt, job: asyncio.Future[Verdict]) -> None:
        self._running -= 1
        wrong = not job.cancelled() and job.exception() is None and job.result() is Verdict.NO
        now = asyncio.get_running_loop().time()
        for budget in attempt.budgets:
            budget.end()
            if wrong:
                budget.charge(now)
        future, _ = self._jobs.pop(attempt)
        _pass_on(job, future)
        self.go_on()

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= when and not self._timer.cancelled():
                return  # it looks again then
            self._timer.cancel()
            self._timer = None
        if when < math.inf:
            self._timer = asyncio.get_running_loop().call_at(when, self._woken)

    def _woken(self) -> None:
        self._timer = None
        self.go_on()


def _pass_on(job: asyncio.Future[Verdict], future: asyncio.Future[Verdict | None]) -> None:
    if future.done():
        return
    error = None if job.cancelled() else job.exception()
    if job.cancelled():
        future.cancel()
    elif error is not None:
        future.set_exception(error)
    else:
        future.set_result(job.result())
