"""auth/passwd: one line `name:hash` an account, written by admin, read again when it changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, TypeAlias

from qmail.log.notices import Notices
from qmail.message.printable import printable

Stamp: TypeAlias = tuple[int, int, int] | None
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
# An argon2 hash, or `!` before one: a log-in that is locked (qmailctl usermod -L).
_STARTS: Final = (b"$argon2", b"!")


class Hashes:
    """The password hashes of one deployment."""

    def __init__(self, path: Path, notices: Notices) -> None:
        self._path = path
        self._notices = notices
        self._stamp: Stamp = None
        self._hashes: dict[bytes, str] = {}

    def version(self) -> Stamp:
        """Changes whenever the file does. Raises OSError, also where there is none: admin made it at first start."""
        self._refresh()
        return self._stamp

    def find(self, name: bytes) -> str | None:
        """The hash of a name. Raises OSError."""
        self._refresh()
        return self._hashes.get(name)

    def _refresh(self) -> None:
        status = os.stat(self._path)
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return
        if status.st_size > MAX_FILE_BYTES:
            raise OSError(f"{self._path}: {status.st_size} bytes; expected at most {MAX_FILE_BYTES}")
        self._hashes = dict(self._parse(self._path.read_bytes()))
        self._stamp = stamp

    def _parse(self, content: bytes) -> list[tuple[bytes, str]]:
        found, bad = [], []
        for number, line in enumerate(content.splitlines(), 1):
            name, colon, value = line.partition(b":")
            if name and colon and value.isascii():
                found.append((name, value.decode("ascii")))
            # One bad line locks one account out, not all; what stands in it is not shown.
            if line and not (name and colon):
                bad.append(f"{self._path}:{number}: expected name:hash")
            elif line and not value.startswith(_STARTS):
                shown = printable(name[:100])
                bad.append(f"{self._path}:{number}: {shown} cannot log in; expected an argon2 hash, as passwd makes it")
        self._tell(bad)
        return found

    def _tell(self, bad: list[str]) -> None:
        if bad:
            more = f" (and {len(bad) - 1} lines more)" if len(bad) > 1 else ""
            self._notices.stands("lines of auth/passwd", bad[0] + more)
        else:
            self._notices.mended("lines of auth/passwd")
