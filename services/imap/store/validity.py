"""UIDVALIDITY: a number that no folder of this Maildir had before (RFC 3501 section 2.3.1.1).

The last one given out is the name of an empty file, `imapuidvalidity.<8 hex digits>`, claimed by O_EXCL.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time

from services.imap import replies
from services.imap.store.errors import Busy

_PREFIX = "imapuidvalidity."
_TRIES = 100

#: The highest that this process gave out without storing it.
_passing = 0
_passing_lock = threading.Lock()


def next_validity(maildir: int) -> int:
    """A new UIDVALIDITY, above the time in seconds. Raises OSError; Busy if others always are faster."""
    for _ in range(_TRIES):
        taken = _taken(maildir)
        # Above any that a process has passed off, this one or another, a moment ago.
        mine = max(int(time.time()) + 1, max(taken, default=0) + 2, _passing + 1)
        try:
            os.close(os.open(f"{_PREFIX}{mine:08x}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=maildir))
        except FileExistsError:
            continue
        os.fsync(maildir)
        # A higher one: others went on from a number that we did not see, and may have cleared ours before.
        if max(_taken(maildir), default=0) == mine:
            _clear(maildir, taken)
            return mine
    raise Busy(replies.VALIDITY_BUSY)


def passing_validity(maildir: int) -> int:
    """A UIDVALIDITY that is not stored, because nothing can be; `next_validity` goes above it. Raises OSError."""
    global _passing
    with _passing_lock:
        mine = max(int(time.time()), max(_taken(maildir), default=0) + 1)
        _passing = max(_passing, mine)
    return mine


def _taken(maildir: int) -> list[int]:
    found = []
    for name in os.listdir(maildir):
        if name.startswith(_PREFIX):
            with contextlib.suppress(ValueError):
                found.append(int(name[len(_PREFIX) :], 16))
    return found


def _clear(maildir: int, taken: list[int]) -> None:
    for number in taken:
        with contextlib.suppress(OSError):
            os.unlink(f"{_PREFIX}{number:08x}", dir_fd=maildir)
