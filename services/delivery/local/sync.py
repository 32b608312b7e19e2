"""Several files onto stable storage at once (io_submit(2) with IOCB_CMD_FSYNC, through caio).

Of files synced one after the other each costs a flush of the disk's cache of its own, even where one commit of the
file system's journal has served all of them; of files synced side by side the kernel makes one of it.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from caio import linux_aio

#: Requests that one thread has under way; more files go in turns.
_MOST: Final = 16
#: The wait is interrupted by signals; after so many that bring nothing something is wrong.
_PATIENCE: Final = 1000

_of_thread = threading.local()


def sync_files(fds: Sequence[int]) -> dict[int, OSError]:
    """fsync(2) of all descriptors; those that failed, with what went wrong. Blocking; in any thread."""
    failed: dict[int, OSError] = {}
    for start in range(0, len(fds), _MOST):
        some = fds[start : start + _MOST]
        begun = _side_by_side(some, failed) if len(some) > 1 else 0
        for fd in some[begun:]:
            try:
                os.fsync(fd)
            except OSError as error:
                failed[fd] = error
    return failed


def _side_by_side(fds: Sequence[int], failed: dict[int, OSError]) -> int:
    """Sync as many as the kernel takes, from the first on; how many those were."""
    context = _context()
    if context is None:
        return 0
    ended: dict[int, int] = {}
    operations = [_operation(fd, ended) for fd in fds]
    try:
        begun: int = context.submit(*operations)
    except Exception:
        return 0  # none was begun; which exception it is depends on the errno
    for _ in range(_PATIENCE):
        if len(ended) == begun:
            break
        try:
            context.process_events(_MOST, begun - len(ended), -1)
        except SystemError:
            continue  # interrupted
    for fd in fds[:begun]:
        # To ask again could bring a success that hides the failure (fsync(2), Errors).
        if (number := _error_number(ended.get(fd))) != 0:
            failed[fd] = OSError(number, os.strerror(number))
    return begun


def _operation(fd: int, ended: dict[int, int]) -> Any:
    operation: Any = linux_aio.Operation.fsync(fd)
    operation.set_callback(partial(ended.__setitem__, fd))
    return operation


def _error_number(result: int | None) -> int:
    """errno of an operation's result, which is unsigned: 0, or 2^64 - errno; None: it is not known."""
    if result is None:
        return errno.EIO
    return (1 << 64) - result if result >= 1 << 63 else 0


def _context() -> Any:
    """This thread's; None where the kernel gives none (fs.aio-max-nr, a container that forbids it)."""
    if not hasattr(_of_thread, "context"):
        try:
            _of_thread.context = linux_aio.Context(_MOST)
        except Exception:
            _of_thread.context = None
    return _of_thread.context
