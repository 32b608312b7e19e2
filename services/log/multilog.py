"""A log directory as multilog(8) keeps it: `current`, and finished files `@<tai64n>.s`, rotated by size."""

from __future__ import annotations

import contextlib
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
        self._current = directory / "current"
        self._max_bytes, self._max_files = max_bytes, max_files
        self._fd: int | None = None

    def write(self, text: str) -> None:
        """Append whole lines, each with its stamp already: all, or none. Raises OSError, with the file's name."""
        data = text.encode("utf-8", "replace")
        fd, size = self._opened()
        if size and size + len(data) > self._max_bytes:
            self._rotate(fd)
            fd, size = self._opened()
        try:
            while data:
                data = data[os.write(fd, data) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size)
            error.filename = str(self._current)
            raise

    def close(self) -> None:
        """Sync and close; the next line opens it again. Raises OSError."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _opened(self) -> tuple[int, int]:
        """`current`, and how many bytes it has."""
        if self._fd is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._fd = os.open(self._current, flags, CURRENT_MODE)
        return self._fd, os.fstat(self._fd).st_size

    def _rotate(self, fd: int) -> None:
        os.fchmod(fd, FINISHED_MODE)
        self.close()
        self._current.rename(self._directory / f"{tai64n(time.time())}.s")
        finished = sorted(self._directory.glob("@*.s"))
        for path in finished[: max(0, len(finished) - self._max_files)]:
            path.unlink()
