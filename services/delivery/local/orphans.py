"""Processes whose parents have ended become this process's children, to be found and ended (prctl(2), proc(5))."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(frozen=True, slots=True)
class Orphan:
    """A child of this process; `session` is the process id of whoever began its session (setsid(2))."""

    pid: int
    uid: int
    session: int


def adopt_orphans() -> None:
    """From now on whoever among this process's descendants loses his parent becomes its child.

    Raises OSError."""
    if _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def orphans() -> Iterator[Orphan]:
    """All children of this process's one thread, its own programs among them."""
    own = os.getpid()
    for pid in map(int, Path(f"/proc/{own}/task/{own}/children").read_text(encoding="ascii").split()):
        try:
            text = Path(f"/proc/{pid}/stat").read_bytes()
            uid = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue  # it has ended
        # After the name, which may hold anything: state, parent, group, session.
        yield Orphan(pid, uid, int(text.rpartition(b")")[2].split()[3]))
