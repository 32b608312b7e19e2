"""The few file operations that the store is made of, below an open directory."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
import threading
import time

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# A list that is read as a whole: 2 million messages.
MAX_FILE_BYTES = 256 * 1024 * 1024
# POP3's UIDL is the name up to the colon, of at most 70 characters (RFC 1939 section 7).
MAX_BASE_BYTES = 70

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


def read_all(parent: int, name: bytes) -> bytes:
    """A small file's content. Raises OSError; a file beyond MAX_FILE_BYTES is cut there."""
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=parent)
    with open(fd, "rb") as file:
        return file.read(MAX_FILE_BYTES)


def write_new(parent: int, name: bytes, content: bytes) -> None:
    """Create a file and have it on stable storage. Raises OSError; nothing is left behind then."""
    fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
    try:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
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
