"""Deliveries to one account side by side, in one thread that acts as it.

A delivery costs what the disk costs. What the works of a group need (qmail.steps) is done for all of them at once:
their files are synced side by side, a directory is synced once, and the home is looked at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar, cast

from qmail.identity import ActingPool, Ended, Identity
from qmail.steps import Shared, Shelf, Steps, Wish
from services.delivery.local.sync import sync_files

T = TypeVar("T")

#: How a work ended: its result, or what it raised.
Ending: TypeAlias = tuple[Any, BaseException | None]

#: How many works one thread takes.
GROUP: Final = 16
#: How soon after a group of an account the next one may begin, unless there is enough for it. Each group costs two
#: commits of the file system's journal, and the bus, which waits for the same journal, takes more mail the fewer
#: there are.
PACE_SECONDS: Final = 0.005
#: While one group of an account waits for the disk a second may work, once this much is there for it.
ENOUGH: Final = 8
SIDE_BY_SIDE: Final = 2


def side_by_side(group: Sequence[Steps[Any]]) -> list[Ending]:
    """Take every work from wish to wish, in rounds, to its end."""
    endings: list[Ending] = [(None, None)] * len(group)
    shelf = Shelf()
    active = list(enumerate(group))
    answers: list[Ending] = endings.copy()
    try:
        while active:
            going_on: list[tuple[int, Steps[Any]]] = []
            wishes: list[Wish] = []
            for (place, steps), (answer, error) in zip(active, answers, strict=True):
                try:
                    wish = steps.send(answer) if error is None else steps.throw(error)
                except StopIteration as end:
                    endings[place] = (end.value, None)
                except BaseException as failure:
                    endings[place] = (None, failure)
                else:
                    going_on.append((place, steps))
                    wishes.append(wish)
            active, answers = going_on, _grant(wishes, shelf)
    finally:
        shelf.end()
    return endings


def _grant(wishes: Sequence[Wish], shelf: Shelf) -> list[Ending]:
    """What the works of one round get for their wishes."""
    files = [wish for wish in wishes if isinstance(wish, int)]
    failed = sync_files(files) if files else {}
    names: dict[bytes, Ending] = {}
    answers: list[Ending] = []
    for wish in wishes:
        if isinstance(wish, int):
            answers.append((None, failed.get(wish)))
        elif isinstance(wish, Shared):
            answers.append(_tried(partial(shelf.get, wish)))
        elif not wish.known_as:
            answers.append(_tried(wish.sync))
        else:
            if wish.known_as not in names:
                names[wish.known_as] = _tried(wish.sync)
            answers.append(names[wish.known_as])
    return answers


def _tried(fn: Callable[[], object]) -> Ending:
    try:
        return fn(), None
    except Exception as error:
        return None, error


class _Gathering:
    """What one account has waiting to be done together.

    A group begins at once where none began a moment ago; else when the one before it has ended and the moment is
    over, or beside it when there is enough. `begin` takes a group; `over` is called when there is nothing left to
    remember.
    """

    __slots__ = ("_begin", "_loop", "_over", "_pacing", "_planned", "_under_way", "_waiting")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, begin: Callable[[list[_Work]], None], over: Callable[[], object]
    ) -> None:
        self._loop, self._begin, self._over = loop, begin, over
        self._waiting: list[_Work] = []
        self._planned = self._pacing = False
        self._under_way = 0

    def add(self, work: _Work) -> None:
        """Have a work done with the next group."""
        self._waiting.append(work)
        self._plan()

    def ended(self) -> None:
        """A group that was under way has ended."""
        self._under_way -= 1
        self._plan()

    def _rested(self) -> None:
        self._pacing = False
        self._plan()

    def _plan(self) -> None:
        if self._planned:
            return
        if not self._waiting:
            if not (self._pacing or self._under_way):
                self._over()
        elif self._may_begin():
            # At the end of this turn of the loop: whatever is asked for in it goes together.
            self._planned = True
            self._loop.call_soon(self._send)

    def _may_begin(self) -> bool:
        if not (self._pacing or self._under_way):
            return True
        return len(self._waiting) >= ENOUGH and self._under_way < SIDE_BY_SIDE

    def _send(self) -> None:
        self._planned = False
        self._under_way += 1
        group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
        if not self._pacing:
            self._pacing = True
            self._loop.call_later(PACE_SECONDS, self._rested)
        self._begin(group)


class _Work:
    """One delivery on its way through a group."""

    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[], Steps[Any]], future: Ended) -> None:
        self.work = work
        self.future = future


class Together:
    """Does work in steps, in the threads of a pool, what one account has waiting side by side."""

    def __init__(self, pool: ActingPool) -> None:
        self._pool = pool
        self._gatherings: dict[tuple[int, int], _Gathering] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, account: Identity, work: Callable[[], Steps[T]]) -> T:
        """The result of the work, or its exception. Raises IdentityError as ActingPool.run does."""
        loop = asyncio.get_running_loop()
        key = (account.uid, account.gid)
        gathering = self._gatherings.get(key)
        if gathering is None:
            gathering = _Gathering(loop, partial(self._begin, account), partial(self._gatherings.pop, key))
            self._gatherings[key] = gathering
        future = Ended(loop=loop)
        gathering.add(_Work(work, future))
        return cast(T, await future)

    def _begin(self, account: Identity, group: list[_Work]) -> None:
        task = asyncio.create_task(self._carry_out(account, group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, account: Identity, group: list[_Work]) -> None:
        try:
            endings = await self._pool.run(account, _begun_and_done, [one.work for one in group])
        except BaseException as error:
            endings = [(None, error)] * len(group)
        self._gatherings[account.uid, account.gid].ended()
        for one, (result, failure) in zip(group, endings, strict=True):
            if failure is None:
                one.future.set_result(result)
            else:
                one.future.set_exception(failure)


def _begun_and_done(works: Sequence[Callable[[], Steps[Any]]]) -> list[Ending]:
    return side_by_side([work() for work in works])
