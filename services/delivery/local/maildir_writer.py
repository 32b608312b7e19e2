"""Putting a message into a Maildir: tmp, fsync, link, fsync of the directory. See maildir(5), qmail-local(8).

Blocking; call it in an `ActingPool`. The promise: when `deliver` returns, the whole message is on stable
storage under its name, once; at every moment before, `new` holds either nothing of it or all of it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from qmail.maildir.date import set_date
from qmail.maildir.parts import make_missing
from services.delivery.local.steps import Shared, Steps, alone

_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_MAX_PIECES: Final = 1024  # IOV_MAX of Linux


class MaildirError(OSError):
    """The message was not delivered; trying again later may help. `errno` tells why."""


class MaildirMissing(MaildirError):
    """There is no directory to enter under the Maildir's name."""


class MaildirIncomplete(MaildirError):
    """The Maildir lacks tmp, new or cur, or they are not the user's to write."""


class MaildirFull(MaildirError):
    """No room on the disk or in the quota."""


class MaildirBusy(MaildirError):
    """Another process is writing this very message just now."""


def deliver(maildir: Path | str | bytes, name: bytes, chunks: Iterable[bytes]) -> bool:
    """Put the message made of chunks into `new` under this name.

    False: it was delivered before. Raises MaildirError, as `store` does.
    """
    return store(maildir, name, chunks, b"new/" + name)


def store(
    maildir: Path | str | bytes,
    name: bytes,
    chunks: Iterable[bytes],
    target: bytes,
    mtime_ns: int | None = None,
) -> bool:
    """Write the chunks to tmp/name and link it to target, a path below the Maildir such as `cur/name:2,S`.

    mtime_ns: the file's time, in nanoseconds since 1970; None: now. False: the target existed.
    Raises MaildirMissing, MaildirIncomplete, MaildirFull, MaildirBusy, or MaildirError for any other OSError.
    """
    with DirectoryOf(maildir) as directory:
        return store_at(directory, name, chunks, target, mtime_ns)


class DirectoryOf:
    """An entered Maildir, as a descriptor that is closed at the end of the block. Raises MaildirMissing."""

    __slots__ = ("_fd", "_path")

    def __init__(self, maildir: Path | str | bytes) -> None:
        self._path = maildir
        self._fd = -1

    def __enter__(self) -> int:
        try:
            self._fd = os.open(self._path, _PATH)
        except OSError as error:
            raise MaildirMissing(error.errno, "cannot enter the Maildir") from error
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def store_at(
    directory: int,
    name: bytes,
    chunks: Iterable[bytes],
    target: bytes,
    mtime_ns: int | None = None,
    maildir: bytes = b"",
) -> bool:
    """As `store`, in a Maildir that is the open directory (a descriptor opened with O_PATH) or lies below it.

    maildir: its path from there, ending in a slash.
    """
    return alone(store_steps(directory, name, chunks, target, mtime_ns, maildir))


def store_steps(
    directory: int,
    name: bytes,
    chunks: Iterable[bytes],
    target: bytes,
    mtime_ns: int | None = None,
    maildir: bytes = b"",
    known_as: bytes = b"",
) -> Steps[bool]:
    """As `store_at`, in steps that can wait for the disk together with others (services.delivery.local.steps).

    known_as: the path of `directory`, by which a group knows one directory from another."""
    below = maildir + target
    names = os.path.dirname(below)
    # Opened before anything is written: who cannot be made durable is not begun.
    opening = partial(_open_names, directory, maildir, names)
    key = (b"names", known_as, names) if known_as else object()
    try:
        opened = yield Shared(key, opening, os.close)
        return (yield from _store(directory, maildir, name, chunks, below, mtime_ns, opened))
    except MaildirError:
        raise
    except OSError as error:
        kind = _kind(error.errno)
        if kind is MaildirIncomplete and not _can_enter(directory, maildir):
            kind = MaildirMissing
        raise kind(error.errno, os.strerror(error.errno or 0)) from error


def _open_names(directory: int, maildir: bytes, names: bytes) -> int:
    """The directory that the message gets its name in; made where only that is missing."""
    try:
        return os.open(names, _DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        make_missing(directory, maildir)
    return os.open(names, _DIRECTORY, dir_fd=directory)


def _can_enter(directory: int, maildir: bytes) -> bool:
    """Whether chdir(2) to it would succeed."""
    try:
        os.stat(maildir + b".", dir_fd=directory)
    except OSError:
        return False
    return True


def _kind(number: int | None) -> type[MaildirError]:
    if number in _FULL:
        return MaildirFull
    if number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM):
        return MaildirIncomplete
    return MaildirError


def _store(
    directory: int,
    maildir: bytes,
    name: bytes,
    chunks: Iterable[bytes],
    target: bytes,
    mtime_ns: int | None,
    names: int,
) -> Steps[bool]:
    """names: the directory of the target, open."""
    tmp = maildir + b"tmp/" + name
    fd = _create_in(directory, maildir, tmp)
    if fd < 0:
        yield names
        return False
    try:
        try:
            _write(fd, chunks)
            if mtime_ns is not None:
                set_date(fd, mtime_ns)
            yield fd
            placed = _link(directory, tmp, target)
        finally:
            # The lock on tmp holds until here: nobody replaces the name between our writing and our link.
            _remove(directory, tmp)
    finally:
        os.close(fd)
    yield names
    return placed


def _create_in(directory: int, maildir: bytes, tmp: bytes) -> int:
    """As `_create`, in a tmp that is made where only that is missing."""
    try:
        return _create(directory, tmp)
    except FileNotFoundError:
        make_missing(directory, maildir)
    return _create(directory, tmp)


def _create(directory: int, tmp: bytes) -> int:
    """The new tmp file, locked; -1 if an earlier attempt got as far as the link."""
    try:
        fd = os.open(tmp, _CREATE, 0o600, dir_fd=directory)
    except FileExistsError:
        if _clear_leftover(directory, tmp):
            return -1
        fd = os.open(tmp, _CREATE, 0o600, dir_fd=directory)
    try:
        _lock(fd)
        if os.fstat(fd).st_nlink != 1:
            raise MaildirBusy(errno.EBUSY, "the message is being delivered elsewhere")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _clear_leftover(directory: int, tmp: bytes) -> bool:
    """Remove what an interrupted attempt left in tmp. True: it has a second link, so was delivered."""
    fd = os.open(tmp, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        _lock(fd)
        links = os.fstat(fd).st_nlink
        if links:
            _remove(directory, tmp)
        return links > 1
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    """A living writer keeps its tmp file locked; the lock of a dead one is gone."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise MaildirBusy(error.errno, "the message is being delivered elsewhere") from error


def _write(fd: int, chunks: Iterable[bytes]) -> None:
    if isinstance(chunks, (list, tuple)) and len(chunks) <= _MAX_PIECES:
        _write_pieces(fd, chunks)
        return
    for chunk in chunks:
        _write_pieces(fd, (chunk,))


def _write_pieces(fd: int, pieces: Sequence[bytes]) -> None:
    left = sum(map(len, pieces))
    written = os.writev(fd, pieces) if left else 0
    while written < left:
        rest = memoryview(b"".join(pieces))[written:]
        pieces, left = (bytes(rest),), len(rest)
        written = os.write(fd, rest)
        if written == 0:
            raise MaildirFull(errno.ENOSPC, "nothing more is written")


def _link(directory: int, tmp: bytes, target: bytes) -> bool:
    try:
        os.link(tmp, target, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except FileExistsError:
        return False
    return True


def _remove(directory: int, tmp: bytes) -> None:
    try:
        os.unlink(tmp, dir_fd=directory)
    except OSError:
        pass  # what stays in tmp is swept after 36 hours, or replaced by the next attempt
