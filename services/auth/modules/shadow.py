"""authshadow: a machine's /etc/shadow as it is, in auth/shadow (shadow(5)), so that who moves house needs no new
password. Expired accounts and passwords are refused, as Courier's authshadow does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

from services.auth.modules.crypt import Crypt, NoCrypt
from services.auth.modules.hashes import MAX_FILE_BYTES
from services.auth.modules.module import NotSetUp, Verdict, spend_the_same

_SECONDS_PER_DAY: Final = 86_400
_FIELDS: Final = 9


class Shadow:
    """The hashes of another machine."""

    name = "authshadow"

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Raises NotSetUp."""
        if not path.exists():
            raise NotSetUp(f"{path} is missing: a copy of /etc/shadow")
        try:
            self._crypt = Crypt()
        except NoCrypt as error:
            raise NotSetUp(f"libcrypt is not installed ({error})") from error
        self._path = path
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._lines: dict[bytes, list[bytes]] = {}

    def version(self) -> Hashable:
        self._refresh()
        return self._stamp

    def missing(self, _service: str) -> str:
        return ""

    def __call__(self, name: bytes, password: bytes, _service: str) -> Verdict:
        """TEMPORARY when the file cannot be read."""
        try:
            self._refresh()
        except OSError:
            return Verdict.TEMPORARY
        fields = self._lines.get(name)
        if fields is None:
            return Verdict.UNKNOWN
        right = self._crypt.matches(fields[1], password) if fields[1] else None
        if right is None:
            # Locked (`!`, `*`), without a password, or nothing that libcrypt knows: as slow as a wrong password.
            spend_the_same(password)
        return Verdict.YES if right and not is_expired(fields, self._clock()) else Verdict.NO

    def _refresh(self) -> None:
        status = os.stat(self._path)
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return
        if status.st_size > MAX_FILE_BYTES:
            raise OSError(f"{self._path}: {status.st_size} bytes; expected at most {MAX_FILE_BYTES}")
        lines = [line.split(b":") for line in self._path.read_bytes().splitlines()]
        self._lines = {fields[0]: fields for fields in lines if len(fields) > 1}
        self._stamp = stamp


def is_expired(fields: list[bytes], now: float) -> bool:
    """Whether a line of shadow(5) says that account or password have ended; `now` in seconds since 1970."""
    numbers = [int(field) if field.isdigit() else None for field in fields] + [None] * _FIELDS
    changed, longest, ends, today = numbers[2], numbers[4], numbers[7], now // _SECONDS_PER_DAY
    if ends is not None and today >= ends:
        return True
    return changed is not None and longest is not None and changed + longest < today
