"""What was once computed from messages, as it is sent: sizes, ENVELOPE, BODY, BODYSTRUCTURE, EMAILID, PREVIEW, header
fields. Never the truth: it may be deleted at any time.

One file a folder, in a directory of the account's own (`imapcache/<uid>`, 0700), opened as the account: what holds
words of its mail is nobody else's to read. Of frames, only ever appended: `frame`, the lengths of kind and values, how
many, CRC-32 of the rest; the kind; UID and length of each value; the values. Damage ends the reading: the file is begun
anew, and so is one that has reached its bound.

Why: docs/decisions/0034-a-cache-of-ready-answers.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import struct
import threading
import time
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from qmail.accounts.assign import Account
from qmail.accounts.identity import Become
from services.imap.store import files

_MAGIC = b"qmail imap cache 4\n"
_FRAME = b"frame"
_HEAD = struct.Struct(">5sHIII")
_ENTRY = struct.Struct(">II")
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_VALUE_BYTES = 256 * 1024
#: Different kinds in a file; a kind is any octets, and clients choose their header fields.
MAX_KINDS = 40
MAX_KIND_BYTES = 200
# What a frame holds: read as a whole for one value of it.
_FRAME_VALUES = 500
_FRAME_BYTES = 128 * 1024
_UNUSED_SECONDS = 60 * 86400
# Places are kept for so many UIDs together, so that folders whose UIDs are far apart take no room for what is between.
_PAGE = 64
_LENGTH_BITS = 20

SIZE, ENVELOPE, BODY, BODYSTRUCTURE, EMAIL_ID, PREVIEW = b"S", b"E", b"B", b"X", b"I", b"P"
#: Before the names of header fields: as they are sent, and one's text as SEARCH compares it.
FIELDS, TEXTS = b"F", b"T"

_Pages = dict[int, "array[int]"]


class MailboxCache:
    """Values by UID and kind, for all sessions of a folder. Without a descriptor (-1) it remembers nothing."""

    def __init__(self, fd: int = -1) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._places: dict[bytes, _Pages] = {}
        self._fresh: dict[bytes, dict[int, bytes]] = {}
        self._fresh_bytes = 0
        self._end = 0
        #: Where each frame begins, and the last that was read: its place, and its octets up to its end.
        self._frames = array("Q")
        self._read_at = 0
        self._read = b""

    def close(self) -> None:
        """Write what is new and give the descriptor back."""
        with self._lock:
            self._flush()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def get(self, kind: bytes, uid: int) -> bytes | None:
        """A remembered value."""
        return self.many(kind, (uid,))[0]

    def many(self, kind: bytes, uids: Sequence[int]) -> list[bytes | None]:
        """The remembered values of these messages; None where there is none."""
        if self._fd < 0:
            return [None] * len(uids)
        with self._lock:
            try:
                if self._end == 0:
                    self._catch_up()
                return self._values(kind, uids)
            except OSError:
                return [None] * len(uids)

    def _values(self, kind: bytes, uids: Sequence[int]) -> list[bytes | None]:
        fresh, pages = self._fresh.get(kind, {}), self._places.get(kind, {})
        found: list[bytes | None] = []
        for uid in uids:
            page = pages.get(uid // _PAGE)
            place = page[uid % _PAGE] if page is not None else 0
            if not place:
                found.append(fresh.get(uid))
                continue
            at, length = place >> _LENGTH_BITS, place & ((1 << _LENGTH_BITS) - 1)
            start = at - self._read_at
            if start < 0 or start + length > len(self._read):
                self._load(at)
                start = at - self._read_at
            found.append(self._read[start : start + length] if self._read else None)
        return found

    def _load(self, at: int) -> None:
        """Read the frame that has a value at this place; what is damaged has none."""
        begin = self._frames[bisect_right(self._frames, at) - 1]
        head = os.pread(self._fd, _HEAD.size, begin)
        size = _sizes(head)[1] if len(head) == _HEAD.size else 0
        frame = head + files.read_range(self._fd, begin + len(head), begin + _HEAD.size + size)
        sound = len(frame) == _HEAD.size + size and _HEAD.unpack_from(frame)[4] == zlib.crc32(frame[_HEAD.size :])
        self._read_at, self._read = begin, frame if sound else b""

    def put(self, kind: bytes, uid: int, value: bytes) -> None:
        """Remember a value."""
        if self._fd < 0 or len(value) > MAX_VALUE_BYTES or len(kind) > MAX_KIND_BYTES:
            return
        with self._lock:
            known = self._fresh.get(kind)
            if known is None:
                if kind not in self._places and len(self._places) + len(self._fresh) >= MAX_KINDS:
                    return
                known = self._fresh[kind] = {}
            known[uid] = value
            self._fresh_bytes += len(value)
            if len(known) >= _FRAME_VALUES or self._fresh_bytes >= _FRAME_BYTES:
                self._flush()

    def flush(self) -> None:
        """Append what is new; a failure only means that it will be computed again."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if not self._fresh or self._fd < 0:
            return
        frames = [_frame(kind, values) for kind, values in self._fresh.items()]
        self._fresh.clear()
        self._fresh_bytes = 0
        with contextlib.suppress(OSError):
            self._catch_up()
            if self._end + sum(map(len, frames)) > MAX_FILE_BYTES:
                self._begin()
            # One write of an O_APPEND file: frames of other processes stay whole beside it.
            os.write(self._fd, b"".join(frames))
            self._catch_up()

    def _begin(self) -> None:
        os.ftruncate(self._fd, 0)
        os.write(self._fd, _MAGIC)
        self._forget()

    def _forget(self) -> None:
        self._places.clear()
        self._frames = array("Q")
        self._read = b""
        self._end = len(_MAGIC)

    def _catch_up(self) -> None:
        """Read what kinds and UIDs the frames hold that were appended since the last time."""
        size = os.fstat(self._fd).st_size
        if self._end == 0 or size < self._end:
            self._forget()
            if os.pread(self._fd, self._end, 0) != _MAGIC:
                self._begin()
                return
        while self._end + _HEAD.size <= size:
            head = os.pread(self._fd, _HEAD.size, self._end)
            index, whole = _sizes(head) if len(head) == _HEAD.size else (0, 0)
            if not index or (self._end + _HEAD.size + whole <= size and not self._take(self._end, head, index)):
                self._begin()
                return
            if self._end + _HEAD.size + whole > size:
                return  # another process is about to write the rest
            self._end += _HEAD.size + whole

    def _take(self, begin: int, head: bytes, index_bytes: int) -> bool:
        """Note where a frame's values are; False: it is none."""
        _, kind_bytes, values_bytes, count, _ = _HEAD.unpack(head)
        index = os.pread(self._fd, index_bytes, begin + _HEAD.size)
        if len(index) < index_bytes:
            return False
        pages = self._places.setdefault(index[:kind_bytes], {})
        at = begin + _HEAD.size + index_bytes
        end = at + values_bytes
        for uid, length in _ENTRY.iter_unpack(index[kind_bytes:]):
            if at + length > end or length > MAX_VALUE_BYTES:
                return False
            page = pages.get(uid // _PAGE)
            if page is None:
                page = pages[uid // _PAGE] = array("Q", bytes(8 * _PAGE))
            page[uid % _PAGE] = at << _LENGTH_BITS | length
            at += length
        self._frames.append(begin)
        return bool(count)


def _sizes(head: bytes) -> tuple[int, int]:
    """Octets of a frame's index, and of all behind its head; zeros where that is none."""
    mark, kind_bytes, values_bytes, count, _ = _HEAD.unpack(head)
    if mark != _FRAME or kind_bytes > MAX_KIND_BYTES or count > _FRAME_VALUES or values_bytes > MAX_FILE_BYTES:
        return 0, 0
    index = kind_bytes + count * _ENTRY.size
    return index, index + values_bytes


def _frame(kind: bytes, values: dict[int, bytes]) -> bytes:
    index = b"".join(_ENTRY.pack(uid, len(value)) for uid, value in values.items())
    content = b"".join(values.values())
    rest = kind + index + content
    return _HEAD.pack(_FRAME, len(kind), len(content), len(values), zlib.crc32(rest)) + rest


def open_cache(directory: Path, maildir: int, folder: bytes, validity: int) -> MailboxCache:
    """The cache of a folder of an open Maildir; one that remembers nothing where the volume cannot be used. As the
    account."""
    try:
        status = os.fstat(maildir)
        own = _own_directory(directory / str(status.st_uid), status.st_uid)
        try:
            # Without identities all accounts are one: the Maildir tells them apart.
            name = hashlib.sha256(b"%d %d " % (status.st_ino, validity) + folder).hexdigest()
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            return MailboxCache(os.open(name, flags, 0o600, dir_fd=own))
        finally:
            os.close(own)
    except OSError:
        return MailboxCache()


def _own_directory(path: Path, account: int) -> int:
    """Raises OSError, also where it is somebody else's."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    fd = os.open(path, files.DIRECTORY)
    if os.fstat(fd).st_uid != account:
        os.close(fd)
        raise PermissionError("the cache's directory is not the account's")
    return fd


def cached_accounts(directory: Path) -> list[Account]:
    """Whose directories there are; what older releases have left is removed. As the role."""
    found = []
    for path in directory.iterdir():
        if len(path.name) == 2:
            shutil.rmtree(path, ignore_errors=True)
        else:
            status = path.lstat()
            found.append(Account(b"", status.st_uid, status.st_gid, path))
    return found


def sweep_cache(become: Become, accounts: list[Account], bound_bytes: int) -> None:
    """Remove files unused for 60 days, and the longest unused while all together are above the bound."""
    found = []
    for account in accounts:
        with contextlib.suppress(OSError):
            become(account)
            for path in account.home.iterdir():
                status = path.lstat()
                used = max(status.st_mtime, status.st_atime)
                found.append((used, status.st_size, path, account))
    total = sum(size for _, size, _, _ in found)
    for used, size, path, account in sorted(found, key=lambda one: one[0]):
        if total > bound_bytes or used < time.time() - _UNUSED_SECONDS:
            with contextlib.suppress(OSError):
                become(account)
                path.unlink()
            total -= size
