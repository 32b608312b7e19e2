"""Subscriptions in Courier's `courierimapsubscribed`: full names, one a line, in order of SUBSCRIBE. Blocking."""

from __future__ import annotations

import os

from services.imap.store import files
from services.imap.store.errors import Busy

FILE = b"courierimapsubscribed"
MAX_SUBSCRIPTIONS = 10_000
_TRIES = 20


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
    for _ in range(_TRIES):
        before = _identity(maildir)
        names = read_subscriptions(maildir)
        if (name in names) == subscribed:
            return
        wanted = [*names, name] if subscribed else [other for other in names if other != name]
        if len(wanted) > MAX_SUBSCRIPTIONS:
            raise Busy("Too many subscriptions.")
        if _identity(maildir) != before:
            continue
        files.replace_file(maildir, b"", FILE, b"".join(line + b"\n" for line in wanted))
        return
    raise Busy("The subscriptions change too fast.")


def _identity(maildir: int) -> tuple[int, int]:
    try:
        found = os.stat(FILE, dir_fd=maildir)
    except FileNotFoundError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)
