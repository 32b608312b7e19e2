"""The views of folders that sessions of this process have open, and those left not long ago. Any thread."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from pathlib import Path

from services.imap.store.cache import open_cache
from services.imap.store.folder import Cached, Folder, Note, open_folder
from services.imap.store.watch import Watches

# Views that nobody has open stay for whoever comes next, within these bounds: all together, and each for so long.
MAX_IDLE = 300
MAX_IDLE_MESSAGES = 200_000
IDLE_SECONDS = 900.0

Key = tuple[int, int, int]


class Folders:
    """One a process; `cache`: the volume of what was computed from messages. A view belongs to the account that opened
    it: another that may enter the same directory has its own."""

    def __init__(self, cache: Path | None = None, *, watched: bool = True) -> None:
        self._cache = cache
        self._watches = Watches() if watched else None
        self._lock = threading.Lock()
        self._keys: dict[Folder, Key] = {}
        self._open: dict[Key, Folder] = {}
        self._users: dict[Folder, int] = {}
        self._idle: OrderedDict[Folder, float] = OrderedDict()

    def close(self) -> None:
        """Give everything back."""
        with self._lock:
            for folder in (*self._idle, *self._users):
                folder.close()
            for known in (self._idle, self._users, self._open, self._keys):
                known.clear()
        if self._watches is not None:
            self._watches.close()

    def enter(self, maildir: int, directory: bytes, note: Note) -> Folder:
        """The view of a folder, which this thread's account may open. Raises OSError."""
        fd = open_folder(maildir, directory)
        try:
            key = _key(fd, maildir)
            with self._lock:
                folder = self._open.get(key)
                if folder is None:
                    folder = Folder(maildir, fd, note, watches=self._watches, cached=self._cached(directory))
                    fd = -1
                    self._open[key], self._keys[folder] = folder, key
                self._idle.pop(folder, None)
                self._users[folder] = self._users.get(folder, 0) + 1
                return folder
        finally:
            if fd >= 0:
                os.close(fd)

    def _cached(self, directory: bytes) -> Cached | None:
        root = self._cache
        return None if root is None else lambda maildir, validity: open_cache(root, maildir, directory, validity)

    def leave(self, folder: Folder) -> None:
        """One session has it open no longer."""
        with self._lock:
            self._users[folder] -= 1
            if not self._users[folder]:
                del self._users[folder]
                self._idle[folder] = time.monotonic()
            self._give_back()

    def sweep(self) -> None:
        """Give back what has been idle for too long."""
        with self._lock:
            self._give_back()

    def _give_back(self) -> None:
        """Closing takes no identity."""
        total = sum(len(folder.messages) for folder in self._idle)
        until = time.monotonic() - IDLE_SECONDS
        while self._idle:
            folder, since = next(iter(self._idle.items()))
            if len(self._idle) <= MAX_IDLE and total <= MAX_IDLE_MESSAGES and since > until:
                return
            total -= len(folder.messages)
            del self._idle[folder]
            del self._open[self._keys.pop(folder)]
            folder.close()


def _key(fd: int, maildir: int) -> Key:
    """The folder, and the Maildir's owner: with per-user identity nobody but the account opens it."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino, os.fstat(maildir).st_uid
