"""auth/passwd: one line `name:hash` an account, written by admin, read again when it changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

Stamp: TypeAlias = tuple[int, int, int] | None
MAX_FILE_BYTES: Final = 64 * 1024 * 1024


class Hashes:
    """The password hashes of one deployment. A missing file holds nobody."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._stamp: Stamp = None
        self._hashes: dict[bytes, str] = {}

    def version(self) -> Stamp:
        """Changes whenever the file does. Raises OSError."""
        self._refresh()
        return self._stamp

    def find(self, name: bytes) -> str | None:
        """The hash of a name. Raises OSError."""
        self._refresh()
        return self._hashes.get(name)

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._stamp, self._hashes = None, {}
            return
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return
        if status.st_size > MAX_FILE_BYTES:
            raise OSError(f"{self._path}: {status.st_size} bytes; expected at most {MAX_FILE_BYTES}")
        self._hashes = dict(self._parse(self._path.read_bytes()))
        self._stamp = stamp

    def _parse(self, content: bytes) -> list[tuple[bytes, str]]:
        found = []
        for number, line in enumerate(content.splitlines(), 1):
            name, colon, value = line.partition(b":")
            if name and colon and value.isascii():
                found.append((name, value.decode("ascii")))
            elif line:
                # One bad line locks one account out, not all; what stands in it is not shown.
                self._warn(f"warning: {self._path}:{number}: expected name:hash")
        return found
