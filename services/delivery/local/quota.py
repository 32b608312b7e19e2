"""A delivery and the Maildir's quota: asked before, noted after, and at nine tenths a mail that says so. Blocking."""

from __future__ import annotations

import errno
import os
import time

from qmail.maildir.quota import TRASH, add, has_room, read_quota
from services.delivery.local.maildir_writer import MaildirError, MaildirFull, store_at
from services.delivery.local.replies import quota_warning

WARN_AT_PERCENT = 90
# As deliverquota: no second warning on the same day. Its time is the file's.
WARNED = b"quotawarn"
WARNING_SECONDS = 24 * 3600.0


class QuotaOf:
    """One message for the Maildir, or its folder, at `below`, a path ending in a slash, of the open home."""

    def __init__(self, home: int, below: bytes) -> None:
        self._home = home
        parent, _, name = below.rstrip(b"/").rpartition(b"/")
        folder = name.startswith(b".") and name.strip(b".") != b""
        self._maildir = (parent + b"/" if parent else b"") if folder else below
        self._size = 0
        self.limited = not (folder and name == TRASH) and read_quota(home, self._maildir) is not None

    def admit(self, size: int) -> None:
        """A message of so many bytes is to be stored. Raises MaildirFull where it has no room."""
        self._size = size
        if not has_room(self._home, size, below=self._maildir):
            raise MaildirFull(errno.EDQUOT, "over quota")

    def stored(self) -> None:
        """The message is there."""
        if not self.limited:
            return
        add(self._home, self._size, 1, self._maildir)
        quota = read_quota(self._home, self._maildir)
        if quota is not None and quota.percent() >= WARN_AT_PERCENT:
            self._warn(quota.percent())

    def _warn(self, percent: int) -> None:
        now = time.time()
        path = self._maildir + WARNED
        try:
            if now - os.stat(path, dir_fd=self._home, follow_symlinks=False).st_mtime < WARNING_SECONDS:
                return
        except FileNotFoundError:
            pass  # nobody has been warned yet
        except OSError:
            return
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            os.close(os.open(path, flags, 0o600, dir_fd=self._home))
            name = b"%d.quota%d_%d.warning" % (int(now), os.getpid(), time.monotonic_ns())
            store_at(self._home, name, (quota_warning(percent, now),), b"new/" + name, None, self._maildir)
        except (OSError, MaildirError):
            return  # tomorrow, or with the next message
