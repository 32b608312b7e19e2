"""Deliveries side by side, in one thread that acts as each one's account in turn.

A delivery costs what the disk costs. What the works of a group need (steps.py) is done for all of them at
once: their files, and then their directories, are synced side by side, and what neighbours share is made once.

Why: docs/decisions/0006-deliveries-wait-for-the-disk-together.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast

from qmail.accounts.identity import ActingPool, Become, Ended, Identity
from qmail.message.value import value
from services.delivery.local.steps import Shelf, Steps
from services.delivery.local.sync import sync_files

T = TypeVar("T")

#: How a work ended: its result, or what it raised.
Ending: TypeAlias = tuple[Any, BaseException | None]

#: How many works one thread takes.
GROUP: Final = 16
#: How soon after a group the next one may begin, unless there is enough for it. Each group costs two commits of the
#: file system's journal, and the bus, which waits for the same journal, takes more mail the fewer there are.
PACE_SECONDS: Final = 0.005
#: While one group waits for the disk a second may work, once this much is there for it.
ENOUGH: Final = 8
SIDE_BY_SIDE: Final = 2
#: Whoever has waited this long waits no more for groups that hang, as long as a thread is left (of the pool's eight,
#: which answer `ask.rcpt` too).
PATIENCE_SECONDS: Final = 0.1
MOST_GROUPS: Final = 6


@value()
class Work:
    """One account's work in steps; `begin` makes it, in the thread that does it."""

    account: Identity
    begin: Callable[[], Steps[Any]]


def side_by_side(become: Become, group: Sequence[Work]) -> list[Ending]:
    """Take every work from wish to wish, in rounds, to its end; each step as the work's account."""
    endings: list[Ending] = [(None, None)] * len(group)
    shelf = Shelf()
    active = [(place, work.account, work.begin()) for place, work in enumerate(group)]
    failed: dict[int, BaseException | None] = {}
    try:
        while active:
            going_on: list[tuple[int, Identity, Steps[Any]]] = []
            wishes: list[int] = []
            for place, account, steps in active:
                try:
                    become(account)
                    wish = shelf.advance(steps, failed.get(place))
                except StopIteration as end:
                    endings[place] = (end.value, None)
                except BaseException as failure:
                    endings[place] = (None, failure)
                else:
                    going_on.append((place, account, steps))
                    wishes.append(wish)
            # Neighbours may wish for one directory: once is enough. A descriptor needs nobody's identity.
            trouble = sync_files(list(dict.fromkeys(wishes)))
            failed = {place: trouble.get(wish) for (place, _, _), wish in zip(going_on, wishes, strict=True)}
            active = going_on
    finally:
        shelf.end()
    return endings


class _Gathering:
    """What waits to be done together.

    A group begins at once where none began a moment ago; else when the one before it has ended and the moment is
    over, beside it when there is enough, and in any case when somebody has waited for long. `begin` takes a group.
    """

    def __init__(self, begin: Callable[[list[_Waiting]], None]) -> None:
        self._begin = begin
        self._waiting: deque[_Waiting] = deque()
        self._planned = self._pacing = self._watching = False
        self._under_way = 0

    def add(self, one: _Waiting) -> None:
        """Have a work done with the next group."""
        self._waiting.append(one)
        self._plan()

    def ended(self) -> None:
        """A group that was under way has ended."""
        self._under_way -= 1
        self._plan()

    def _rested(self) -> None:
        self._pacing = False
        self._plan()

    def _look(self) -> None:
        self._watching = False
        self._plan()

    def _plan(self) -> None:
        if self._planned or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        if self._may_begin(loop.time()):
            # At the end of this turn of the loop: whatever is asked for in it goes together.
            self._planned = True
            loop.call_soon(self._send)
        elif not self._watching:
            self._watching = True
            loop.call_later(PATIENCE_SECONDS, self._look)

    def _may_begin(self, now: float) -> bool:
        if not (self._pacing or self._under_way):
            return True
        if len(self._waiting) >= ENOUGH and self._under_way < SIDE_BY_SIDE:
            return True
        return now - self._waiting[0].since >= PATIENCE_SECONDS and self._under_way < MOST_GROUPS

    def _send(self) -> None:
        self._planned = False
        self._under_way += 1
        group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        if not self._pacing:
            self._pacing = True
            asyncio.get_running_loop().call_later(PACE_SECONDS, self._rested)
        self._begin(group)
        self._plan()


@value()
class _Waiting:
    """A work on its way through a group."""

    work: Work
    future: Ended
    since: float  # by the loop's clock


class Together:
    """Does work in steps in the threads of a pool, what waits side by side."""

    def __init__(self, pool: ActingPool) -> None:
        self._pool = pool
        self._gathering = _Gathering(self._begin)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, account: Identity, work: Callable[[], Steps[T]]) -> T:
        """The result of the work, or its exception. Raises IdentityError as ActingPool.run does."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(Work(account, work), Ended(loop=loop), loop.time())
        self._gathering.add(waiting)
        return cast(T, await waiting.future)

    def _begin(self, group: list[_Waiting]) -> None:
        # Neighbours of one account are taken one after the other: a thread changes its identity less often.
        group.sort(key=lambda one: (one.work.account.uid, one.work.account.gid))
        task = asyncio.create_task(self._carry_out(group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, group: list[_Waiting]) -> None:
        try:
            endings = await self._pool.run_as_several(side_by_side, [one.work for one in group])
        except BaseException as error:
            endings = [(None, error)] * len(group)
        self._gathering.ended()
        for one, (result, failure) in zip(group, endings, strict=True):
            if failure is None:
                one.future.set_result(result)
            else:
                one.future.set_exception(failure)
