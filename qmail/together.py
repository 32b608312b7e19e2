"""Blocking file work in steps, so that several deliveries wait for the disk together.

Each fsync(2) that has something to write makes the file system commit its journal, and that is what a delivery
costs. Work written as a generator yields before it waits for the disk; the works of one group go from yield to
yield side by side, and one commit serves them all. Each still makes every call that its promise needs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

T = TypeVar("T")

# The directories that this round of the group has made durable, by the names that its members have for them.
Settled = set[bytes]
Steps = Generator[None, Settled, T]

_sync_file_range: Callable[..., int] | None = getattr(ctypes.CDLL(None), "sync_file_range", None)
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4


def alone(steps: Steps[T]) -> T:
    """Do the work without company; its result. Raises what it raises."""
    try:
        next(steps)
        while True:
            steps.send(set())
    except StopIteration as end:
        result: T = end.value
        return result


def side_by_side(group: Sequence[Steps[object]], ended: Callable[[int, object, BaseException | None], None]) -> None:
    """Take every work of the group from yield to yield, in rounds; `ended(place, result, error)` for each end."""
    active = list(enumerate(group))
    settled: Settled | None = None
    while active:
        going_on = []
        for place, steps in active:
            try:
                if settled is None:
                    next(steps)
                else:
                    steps.send(settled)
            except StopIteration as end:
                ended(place, end.value, None)
            except BaseException as error:
                ended(place, None, error)
            else:
                going_on.append((place, steps))
        active, settled = going_on, set()


def begin_writing(fd: int) -> None:
    """Have the kernel begin to write a file's data back (sync_file_range(2)); no promise, only a head start."""
    if _sync_file_range is not None:
        _sync_file_range(fd, ctypes.c_longlong(0), ctypes.c_longlong(0), _WRITE)


def finish_writing(fd: int) -> None:
    """Wait until what was begun is written, so that the group's first fsync finds all of it; still no promise."""
    if _sync_file_range is not None:
        flags = _WAIT_BEFORE | _WRITE | _WAIT_AFTER
        _sync_file_range(fd, ctypes.c_longlong(0), ctypes.c_longlong(0), flags)
