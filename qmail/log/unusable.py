"""Why a file cannot be used, as an administrator must know it: the error, and which right is missing to whom."""

from __future__ import annotations

import errno
import os
import stat

_RIGHTS = (errno.EACCES, errno.EPERM)


def why_unusable(error: OSError, path: bytes | str, dir_fd: int | None = None) -> str:
    """`Permission denied: uid 2001 has no right to it: it belongs to uid 0, gid 0, mode 0600`; one line, never raises.

    Blocking; in the thread that was refused, while it acts as it did. path: below dir_fd where that is given.
    """
    text = error.strerror or str(error)
    if error.errno not in _RIGHTS:
        return text
    who = _acting_uid()
    try:
        status = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return f"{text}: uid {who} may not enter a directory above it"
    owner = f"uid {status.st_uid}, gid {status.st_gid}, mode {stat.S_IMODE(status.st_mode):04o}"
    return f"{text}: uid {who} has no right to it: it belongs to {owner}"


def _acting_uid() -> str:
    """The uid that this thread's file operations are made with (proc_pid_status(5): Uid, the fourth)."""
    try:
        with open("/proc/thread-self/status", encoding="ascii", errors="replace") as lines:
            return next(line.split()[4] for line in lines if line.startswith("Uid:"))
    except (OSError, StopIteration, IndexError):
        return str(os.geteuid())
