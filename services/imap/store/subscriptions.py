"""Subscriptions in Courier's `courierimapsubscribed`: full names, one a line, in order of SUBSCRIBE. Blocking."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from services.imap import replies
from services.imap.store import files
from services.imap.store.errors import Busy

FILE = b"courierimapsubscribed"
MAX_SUBSCRIPTIONS = 10_000
_TO_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_TRIES = 50
_PAUSE_SECONDS = 0.02


def read_subscriptions(maildir: int) -> list[bytes]:
    """The subscribed names, which need not exist. Raises OSError."""
    try:
        content = files.read_all(maildir, FILE)
    except FileNotFoundError:
        return []
    names = (line.rstrip(b"\r") for line in content.split(b"\n"))
    return list(dict.fromkeys(name for name in names if name))


def change_subscription(maildir: int, name: bytes, *, subscribed: bool) -> None:
    """Add or remove a name; neither twice nor missing is an error. Raises OSError, Busy."""
    with _alone(maildir):
        names = read_subscriptions(maildir)
        if (name in names) == subscribed:
            return
        wanted = [*names, name] if subscribed else [other for other in names if other != name]
        if len(wanted) > MAX_SUBSCRIPTIONS:
            raise Busy(replies.TOO_MANY_SUBSCRIPTIONS)
        files.replace_file(maildir, b"", FILE, b"".join(line + b"\n" for line in wanted))


@contextlib.contextmanager
def _alone(maildir: int) -> Iterator[None]:
    """No other session changes the subscriptions meanwhile. Raises Busy, OSError.

    Programs of the account could hold the lock as well, so nobody waits for long."""
    for _ in range(_TRIES):
        fd = os.open(FILE, _TO_LOCK, 0o600, dir_fd=maildir)
        try:
            if _locked(fd) and _is_in_place(maildir, fd):
                yield
                return
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)
        time.sleep(_PAUSE_SECONDS)
    raise Busy(replies.SUBSCRIPTIONS_BUSY)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_in_place(maildir: int, fd: int) -> bool:
    """Whether the locked file is still the one that counts: whoever held the lock has put another in its place."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(FILE, dir_fd=maildir, follow_symlinks=False))
    except FileNotFoundError:
        return False
