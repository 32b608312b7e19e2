"""The few file operations that the store is made of, below an open directory."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import secrets
import socket
import stat
import threading
import time

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# As the account: what lies there may be anything, and opening a FIFO must not wait for somebody to write.
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# What is read as a whole, by the beginning of its name; none of it is ever so large. Last the UID lists, of which this
# is a million messages.
_MOST_BYTES = (
    (b"courierimapsubscribed", 1024 * 1024),
    (b"courierimapkeywords/:list", 16 * 1024 * 1024),
    (b"courierimapkeywords/", 64 * 1024),
    (b"", 64 * 1024 * 1024),
)
# POP3's UIDL is the name up to the colon, of at most 70 characters (RFC 1939 section 7).
MAX_BASE_BYTES = 70

_libc = ctypes.CDLL(None, use_errno=True)
_counter = itertools.count()
_host = ""
_host_lock = threading.Lock()


def host_part() -> str:
    """This host's name as a file name may hold it."""
    global _host
    with _host_lock:
        if not _host:
            name = "".join(c if c.isalnum() or c in "-." else "_" for c in socket.gethostname())
            _host = name[:20] or "localhost"
    return _host


def unique_name() -> str:
    """A name no other writer makes: time, process, counter, chance, host. Later names of one process sort later."""
    now = time.time_ns()
    chance = secrets.token_hex(3)
    count = next(_counter) % 1_000_000
    return f"{now // 10**9}.M{now // 1000 % 10**6:06d}P{os.getpid()}Q{count:06d}{chance}.{host_part()}"


def list_names(parent: int, name: bytes) -> list[bytes]:
    """The names in a directory. Raises OSError."""
    fd = os.open(name, DIRECTORY, dir_fd=parent)
    try:
        return [os.fsencode(entry) for entry in os.listdir(fd)]
    finally:
        os.close(fd)


class NotAFile(FileNotFoundError):
    """Something else lies under the name: what was meant is not there, and whoever writes it anew puts it right."""


def read_all(parent: int, name: bytes) -> bytes:
    """A small file's content. Raises OSError; NotAFile for a link, a FIFO, a directory and what is absurdly large."""
    try:
        fd = os.open(name, READ, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotAFile(errno.ENOENT, "not a file", name) from error
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _most_bytes(name):
            raise NotAFile(errno.ENOENT, "not a file of its kind", name)
        return read_range(fd, 0, status.st_size)
    finally:
        os.close(fd)


def _most_bytes(name: bytes) -> int:
    return next(most for beginning, most in _MOST_BYTES if name.startswith(beginning))


def read_range(fd: int, start: int, end: int) -> bytes:
    """The octets of an open file between two offsets; fewer where it ends before. Raises OSError."""
    pieces: list[bytes] = []
    while start < end and (piece := os.pread(fd, end - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def sync_all(fd: int) -> None:
    """Have everything on stable storage that was written to the file system of an open file (syncfs(2)). Raises
    OSError."""
    if _libc.syncfs(fd) != 0:
        raise OSError(ctypes.get_errno(), "syncfs")


def write_new(parent: int, name: bytes, content: bytes, *, sync: bool = True) -> None:
    """Create a file and, with `sync`, have it on stable storage. Raises OSError; nothing is left behind then."""
    fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
    try:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        os.unlink(name, dir_fd=parent)
        raise


def replace_file(parent: int, directory: bytes, name: bytes, content: bytes) -> None:
    """Put a whole file in place of `directory/name`, by way of the folder's tmp. Raises OSError."""
    tmp = b"tmp/" + unique_name().encode()
    write_new(parent, tmp, content)
    try:
        os.rename(tmp, directory + name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        os.unlink(tmp, dir_fd=parent)
        raise


def sync_directory(parent: int, name: bytes) -> None:
    """Make the names in a directory durable. Raises OSError."""
    fd = os.open(name, DIRECTORY, dir_fd=parent)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(parent: int, name: bytes) -> None:
    """mkdir 0700, which may exist already. Raises OSError."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
