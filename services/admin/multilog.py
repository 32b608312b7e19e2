"""A log directory as multilog(8) keeps it: `current`, and finished files `@<tai64n>.s`, rotated by size."""

from __future__ import annotations

import os
import time
from pathlib import Path

from qmail.message.dates import tai64n

# multilog's s and n: larger than its defaults (99,999 bytes, 10 files), which hold minutes of a busy server.
MAX_FILE_BYTES = 16_777_215
MAX_FILES = 10
CURRENT_MODE = 0o644
# The executable bit says that the file is whole (multilog(8)).
FINISHED_MODE = 0o744


class Multilog:
    """One directory; there is one writer."""

    def __init__(self, directory: Path, max_bytes: int = MAX_FILE_BYTES, max_files: int = MAX_FILES) -> None:
        self._directory = directory
        self._max_bytes, self._max_files = max_bytes, max_files
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._fd, self._bytes = self._open()

    def write(self, text: str) -> None:
        """Append whole lines, each with its stamp already. Raises OSError."""
        data = text.encode("utf-8", "replace")
        if self._bytes and self._bytes + len(data) > self._max_bytes:
            self._rotate()
        self._bytes += len(data)
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        """Sync and close."""
        os.fsync(self._fd)
        os.close(self._fd)

    def _open(self) -> tuple[int, int]:
        path = self._directory / "current"
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, CURRENT_MODE)
        return fd, os.fstat(fd).st_size

    def _rotate(self) -> None:
        os.fsync(self._fd)
        os.fchmod(self._fd, FINISHED_MODE)
        os.close(self._fd)
        current = self._directory / "current"
        current.rename(self._directory / f"{tai64n(time.time())}.s")
        finished = sorted(self._directory.glob("@*.s"))
        for path in finished[: max(0, len(finished) - self._max_files)]:
            path.unlink()
        self._fd, self._bytes = self._open()
