"""The directories that make a Maildir: cur, new and tmp. Blocking; as the account. See maildir(5)."""

from __future__ import annotations

import contextlib
import os


def make_missing(directory: int, maildir: bytes = b"") -> None:
    """Make new and tmp where they are missing beside cur. Raises OSError.

    Tools that restore or copy leave empty directories out, and cur is seldom empty. FileNotFoundError where there is no
    cur: that may be the mount point of a home that is not there, and must not become a new, empty mailbox.
    directory: an open directory; maildir: the Maildir's path from there, empty or ending in a slash.
    """
    cur = os.open(maildir + b"cur", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    os.close(cur)
    made = [_make(directory, maildir + part) for part in (b"new", b"tmp")]
    if any(made):
        _sync(directory, maildir)


def _make(directory: int, path: bytes) -> bool:
    try:
        os.stat(path, dir_fd=directory)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):  # somebody else was faster
            os.mkdir(path, 0o700, dir_fd=directory)
        return True
    return False


def _sync(directory: int, maildir: bytes) -> None:
    """What will be delivered there must not be lost with the directory's name."""
    fd = os.open(maildir + b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
