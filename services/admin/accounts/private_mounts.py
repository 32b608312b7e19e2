"""Mounts of the supervisor's own, by which the roles reach what lies in a home that nobody else may enter, as /root is.

Without containers each role has a uid of its own, which must reach the repository, the Python and the deployment's
directory. Where a directory above one of these is closed to others, an empty directory is mounted over it, and in that
the needed ones alone are mounted again (a mount namespace of the supervisor and its children, mount_namespaces(7)).
Paths stay the same, and nothing changes for anybody else.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

# unshare(2), mount(2), umount2(2)
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_COVER = b"mode=755,size=1m"

_libc = ctypes.CDLL(None, use_errno=True)


def closed_above(path: Path) -> Path | None:
    """The topmost directory above a path that others may not enter. Raises OSError."""
    for directory in reversed(path.parents):
        if not os.stat(directory).st_mode & stat.S_IXOTH:
            return directory
    return None


def obstacles(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    """Closed directory -> what is needed of its inside; nothing that lies in another needed one. Raises OSError."""
    found: dict[Path, list[Path]] = {}
    for path in sorted({path.resolve() for path in paths}):
        closed = closed_above(path)
        if closed is None:
            continue
        needed = found.setdefault(closed, [])
        if not any(path.is_relative_to(one) for one in needed):
            needed.append(path)
    return found


def make_reachable(paths: Iterable[Path]) -> None:
    """Make these directories reachable for every uid in this process and its children. For uid 0.

    Raises OSError where the kernel does not allow it; what is closed is seen as before then."""
    found = obstacles(paths)
    if not found:
        return
    here = os.getcwd()
    _checked(_libc.unshare(_CLONE_NEWNS))
    _mount(b"none", "/", b"", _MS_REC | _MS_PRIVATE)
    mask = os.umask(0o022)
    try:
        for closed, needed in found.items():
            _cover(closed, needed)
    finally:
        os.umask(mask)
    # By its name, or the old directory would go on being the current one.
    os.chdir(here if os.path.isdir(here) else "/")


def _cover(closed: Path, needed: Sequence[Path]) -> None:
    """Put an empty directory in the place of a closed one, and the needed ones of its inside back."""
    descriptors = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in needed]
    try:
        _mount(b"none", str(closed), b"tmpfs", 0, _COVER)
        for path, descriptor in zip(needed, descriptors, strict=True):
            path.mkdir(parents=True)
            _mount(f"/proc/self/fd/{descriptor}".encode(), str(path), b"", _MS_BIND | _MS_REC)
    except OSError:
        _libc.umount2(os.fsencode(closed), _MNT_DETACH)
        raise
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _mount(source: bytes, target: str, kind: bytes, flags: int, data: bytes = b"") -> None:
    _checked(_libc.mount(source, os.fsencode(target), kind, ctypes.c_ulong(flags), data))


def _checked(code: int) -> None:
    if code:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
