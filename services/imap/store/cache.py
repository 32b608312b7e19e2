"""What was once computed from messages: sizes, ENVELOPE, BODY, BODYSTRUCTURE. May be deleted at any time.

One file a mailbox on a volume of the imap role's own, of records `kind uid length crc` and the value, only ever
appended. The file is opened with the role's identity; afterwards its descriptor serves in any thread. Damage ends the
reading: the file is begun anew. A file that has reached its bound is begun anew as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import time
import zlib
from pathlib import Path

_MAGIC = b"qmail imap cache 3\n"
_HEAD = struct.Struct(">cIII")
MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_VALUE_BYTES = 256 * 1024
_UNUSED_SECONDS = 60 * 86400

SIZE, ENVELOPE, BODY, BODYSTRUCTURE = b"S", b"E", b"B", b"X"
_KINDS = frozenset((SIZE, ENVELOPE, BODY, BODYSTRUCTURE))


class MailboxCache:
    """Values by UID and kind. Without a descriptor (-1) it remembers nothing beyond `flush`."""

    def __init__(self, fd: int = -1) -> None:
        self._fd = fd
        self._places: dict[tuple[bytes, int], tuple[int, int]] = {}
        self._fresh: dict[tuple[bytes, int], bytes] = {}
        self._end = 0

    def close(self) -> None:
        """Write what is new and give the descriptor back."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def get(self, kind: bytes, uid: int) -> bytes | None:
        """A remembered value."""
        value = self._fresh.get((kind, uid))
        if value is not None or self._fd < 0:
            return value
        with contextlib.suppress(OSError):
            if self._end == 0:
                self._catch_up()
            return self._read(kind, uid)
        return None

    def _read(self, kind: bytes, uid: int) -> bytes | None:
        offset, length = self._places.get((kind, uid), (0, 0))
        if not length:
            return None
        record = os.pread(self._fd, length, offset)
        value = record[_HEAD.size :]
        sound = len(record) == length and record[: _HEAD.size] == _head(kind, uid, value)
        return value if sound else None

    def put(self, kind: bytes, uid: int, value: bytes) -> None:
        """Remember a value."""
        if self._fd >= 0 and len(value) <= MAX_VALUE_BYTES:
            self._fresh[kind, uid] = value
            if len(self._fresh) >= 500:
                self.flush()

    def flush(self) -> None:
        """Append what is new; a failure only means that it will be computed again."""
        if not self._fresh or self._fd < 0:
            return
        records = [_head(kind, uid, value) + value for (kind, uid), value in self._fresh.items()]
        self._fresh.clear()
        with contextlib.suppress(OSError):
            self._catch_up()
            if self._end + sum(map(len, records)) > MAX_FILE_BYTES:
                self._begin()
            # One write of an O_APPEND file: records of other processes stay whole beside it.
            os.write(self._fd, b"".join(records))
            self._catch_up()

    def _begin(self) -> None:
        os.ftruncate(self._fd, 0)
        os.write(self._fd, _MAGIC)
        self._places.clear()
        self._end = len(_MAGIC)

    def _catch_up(self) -> None:
        """Read the heads of records that were appended since the last time."""
        size = os.fstat(self._fd).st_size
        if self._end == 0 or size < self._end:
            self._places.clear()
            self._end = len(_MAGIC)
            if os.pread(self._fd, self._end, 0) != _MAGIC:
                self._begin()
                return
        content = os.pread(self._fd, min(size - self._end, 2 * MAX_FILE_BYTES), self._end)
        at = 0
        while at + _HEAD.size <= len(content):
            kind, uid, length, _ = _HEAD.unpack_from(content, at)
            if kind not in _KINDS or length > MAX_VALUE_BYTES:
                self._begin()
                return
            end = at + _HEAD.size + length
            if end > len(content):
                break  # another process is about to write the rest
            self._places[kind, uid] = (self._end + at, end - at)
            at = end
        self._end += at


def _head(kind: bytes, uid: int, value: bytes) -> bytes:
    return _HEAD.pack(kind, uid, len(value), zlib.crc32(value, uid))


def open_cache(directory: Path, account_uid: int, mailbox: bytes, validity: int) -> MailboxCache:
    """The cache of a mailbox; one that remembers nothing where the volume cannot be used. As the role itself."""
    key = hashlib.sha256(b"%d %d " % (account_uid, validity) + mailbox).hexdigest()
    path = directory / key[:2] / key[2:]
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return MailboxCache(os.open(path, flags, 0o600))
    except OSError:
        return MailboxCache()


def sweep_cache(directory: Path, bound_bytes: int) -> None:
    """Remove files unused for 60 days, and the longest unused while all together are above the bound."""
    found = []
    for path in directory.glob("??/*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((max(status.st_mtime, status.st_atime), status.st_size, path))
    total = sum(size for _, size, _ in found)
    for used, size, path in sorted(found):
        if total > bound_bytes or used < time.time() - _UNUSED_SECONDS:
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size
