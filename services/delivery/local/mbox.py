"""Appending to an mbox under its lock. Blocking, as the user. See mbox(5), qmail-local(8)."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from typing import Final

from services.delivery.local import replies
from services.delivery.local.message import write_all
from services.delivery.local.refusal import temporary

_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
_FROM: Final = re.compile(rb"^(?=>*From )", re.MULTILINE)
_LONG_LINE_BYTES: Final = 64 * 1024


class MailboxLocked(Exception):
    """Another program holds the lock just now; nothing was written."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path)
        self.path = path


def append(home: int, path: bytes, head: bytes, pieces: Iterable[bytes]) -> None:
    """Append head and the quoted message to the mbox, with fsync; on failure cut it to its former length.

    head: UFLINE, RPLINE and DTLINE. Raises MailboxLocked (try again soon) and Refusal.
    """
    try:
        fd = os.open(path, _APPEND, 0o600, dir_fd=home)
    except OSError as error:
        raise temporary(replies.mbox_not_opened(path, error)) from error
    try:
        _lock(fd, path)
        _append(fd, path, head, pieces)
    finally:
        os.close(fd)


def _lock(fd: int, path: bytes) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise MailboxLocked(path) from error


def _append(fd: int, path: bytes, head: bytes, pieces: Iterable[bytes]) -> None:
    end = os.fstat(fd).st_size
    try:
        write_all(fd, head)
        for piece in quoted(pieces):
            write_all(fd, piece)
        os.fsync(fd)
    except OSError as error:
        _cut(fd, end)
        raise temporary(replies.mbox_not_written(path, error)) from error


def _cut(fd: int, length: int) -> None:
    try:
        os.ftruncate(fd, length)
    except OSError:
        pass  # not a regular file; the refusal that follows is what matters


def quoted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The message with `>` before each `>*From ` at the beginning of a line, a final newline, and an empty line.

    A line longer than 64 kB is passed on in parts, so that memory stays bounded.
    """
    rest = b""
    fresh = True  # whether `rest` begins a line
    for piece in pieces:
        rest += piece
        cut = rest.rfind(b"\n") + 1
        if cut:
            yield _quote(rest[:cut], fresh=fresh)
            rest, fresh = rest[cut:], True
        if len(rest) > _LONG_LINE_BYTES:
            yield _quote(rest, fresh=fresh)
            rest, fresh = b"", False
    if rest or not fresh:
        yield _quote(rest, fresh=fresh) + b"\n"
    yield b"\n"


def _quote(text: bytes, *, fresh: bool) -> bytes:
    if fresh:
        return _FROM.sub(b">", text)
    line, newline, after = text.partition(b"\n")
    return line + newline + _FROM.sub(b">", after)
