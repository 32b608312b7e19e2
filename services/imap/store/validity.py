"""UIDVALIDITY: a number that no folder of this Maildir had before (RFC 3501 section 2.3.1.1).

The last one given out is the name of an empty file, `imapuidvalidity.<8 hex digits>`, claimed by O_EXCL.
"""

from __future__ import annotations

import contextlib
import os
import time

from services.imap.store.errors import Busy

_PREFIX = "imapuidvalidity."
_TRIES = 100


def next_validity(maildir: int) -> int:
    """A new UIDVALIDITY, at least the time in seconds. Raises OSError; Busy if others always are faster."""
    for _ in range(_TRIES):
        taken = _taken(maildir)
        mine = max(int(time.time()), max(taken, default=0) + 1)
        try:
            os.close(os.open(f"{_PREFIX}{mine:08x}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=maildir))
        except FileExistsError:
            continue
        os.fsync(maildir)
        # A higher one: others went on from a number that we did not see, and may have cleared ours before.
        if max(_taken(maildir), default=0) == mine:
            _clear(maildir, taken)
            return mine
    raise Busy("Too many mailboxes are made at once.")


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
