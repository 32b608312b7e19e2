"""Directories that a process and all that it starts can no longer reach, even as uid 0: Landlock.

Source: landlock(7), linux/landlock.h; the numbers of the system calls are the same on every processor.

Why: docs/decisions/0029-who-is-asked-for-a-password.md.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
# LANDLOCK_ACCESS_FS_: all of a version, and those that a file can have as well as a directory.
_ACCESS: Final = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_OF_FILES: Final = 0xC007
# LANDLOCK_SCOPE_: abstract Unix sockets and signals of processes outside, from version 6 on.
_SCOPED: Final = 0b11
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class NoLandlock(Exception):
    """This kernel cannot do it; the text says why."""


def version() -> int:
    """Of the kernel's Landlock. Raises NoLandlock."""
    found: int = _LIBC.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if found < 1:
        raise NoLandlock(f"this kernel has no Landlock ({os.strerror(ctypes.get_errno())})")
    return found


def hide(hidden: Sequence[Path]) -> None:
    """From now on nothing in these directories can be opened by this process. Raises NoLandlock, OSError."""
    known = version()
    access = _ACCESS[min(known, 5)]
    scoped = (0, _SCOPED) if known >= 6 else ()
    attributes = struct.pack(f"={1 + len(scoped)}Q", access, *scoped)
    rules = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in beside(Path("/"), [directory.resolve() for directory in hidden]):
            _allow(rules, path, access)
        if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs")
        _call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def beside(directory: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Everything below a directory but what is hidden, in as few paths as that takes. Raises OSError."""
    for path in sorted(directory.iterdir()):
        if path in hidden:
            continue
        if any(path in each.parents for each in hidden):
            yield from beside(path, hidden)
        elif not path.is_symlink():
            yield path


def _allow(rules: int, path: Path, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it went away meanwhile, or is nothing that can be opened
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= _OF_FILES
        _call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, fd), 0)
    finally:
        os.close(fd)


def _call(number: int, *arguments: object) -> int:
    found: int = _LIBC.syscall(number, *arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found
