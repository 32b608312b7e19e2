"""A large file's octets as the parser wants them, read by pread(2) a window at a time.

Not mapped: the file is its owner's, who may cut it short at any moment, and a mapping that has lost its file kills the
process with all its sessions.
"""

from __future__ import annotations

from services.imap.store import files
from services.imap.store.errors import MessageGone

WINDOW_BYTES = 64 * 1024
# The parser often looks back a few octets from where it goes on.
_BEHIND_BYTES = 64


class FileContent:
    """The first `length` octets of an open file (a `message.text.Data`). Methods raise MessageGone, OSError."""

    __slots__ = ("_fd", "_length", "_start", "_window")

    def __init__(self, fd: int, length: int) -> None:
        self._fd = fd
        self._length = length
        self._window = b""
        self._start = 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: slice) -> bytes:
        start, end, _ = place.indices(self._length)
        if end - start > WINDOW_BYTES - _BEHIND_BYTES:
            return self._read(start, end)
        if not self._start <= start <= end <= self._start + len(self._window):
            self._load(start)
        return self._window[start - self._start : end - self._start]

    def find(self, wanted: bytes, start: int = 0, end: int | None = None) -> int:
        """As bytes.find, for offsets that are not negative."""
        end = self._length if end is None else min(end, self._length)
        while start + len(wanted) <= end:
            if not self._start <= start < self._start + len(self._window):
                self._load(start)
            found = self._window.find(wanted, start - self._start, end - self._start)
            if found >= 0:
                return self._start + found
            behind = self._start + len(self._window)
            if behind >= end:
                return -1
            start = max(start, behind - len(wanted) + 1)
            self._load(start)
        return -1

    def _load(self, start: int) -> None:
        start = max(0, start - _BEHIND_BYTES)
        self._window = self._read(start, min(start + WINDOW_BYTES, self._length))
        self._start = start

    def _read(self, start: int, end: int) -> bytes:
        octets = files.read_range(self._fd, start, end)
        if len(octets) < end - start:
            raise MessageGone  # cut short since it was opened
        return octets
