"""The message of a delivery: in memory while small, else in a nameless file of the user's home."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from services.delivery.local.plan import header_of

_PIECE_BYTES: Final = 256 * 1024
#: How far the header is searched for a loop in a large message.
_HEADER_BYTES: Final = 1024 * 1024


class Message(Protocol):
    """A message that can be read from its beginning as often as needed. LF line ends."""

    def header(self) -> bytes: ...
    def pieces(self) -> Iterable[bytes]: ...
    def open(self) -> int:
        """A descriptor at the message's first byte, for a program; the caller closes it. Raises OSError."""

    def close(self) -> None: ...


class SmallMessage:
    """Prefix and body as they came from the bus."""

    def __init__(self, prefix: bytes, body: bytes) -> None:
        self._prefix = prefix
        self._body = body

    def header(self) -> bytes:
        """The lines before the first empty one."""
        return header_of(self._prefix + header_of(self._body))

    def pieces(self) -> tuple[bytes, ...]:
        """The message, to be written as it stands."""
        return (self._prefix, self._body)

    def open(self) -> int:
        """A file in memory that holds the message."""
        fd = os.memfd_create("message")
        try:
            # Made with mode 0777, and reached by /proc/self/fd from a delivery to another account beside this one.
            os.fchmod(fd, 0o600)
            for piece in self.pieces():
                write_all(fd, piece)
            os.lseek(fd, 0, os.SEEK_SET)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def close(self) -> None:
        """Nothing is held."""


class FileMessage:
    """A message in a file that nobody else can see; the descriptor is closed by `close`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, piece: bytes) -> None:
        """Append a piece. Raises OSError, a full disk among others."""
        write_all(self._fd, piece)

    def header(self) -> bytes:
        """The lines before the first empty one, as far as they lie in the first megabyte."""
        return header_of(os.pread(self._fd, _HEADER_BYTES, 0))

    def pieces(self) -> Iterator[bytes]:
        """The message in pieces of 256 kB. Raises OSError."""
        offset = 0
        while piece := os.pread(self._fd, _PIECE_BYTES, offset):
            offset += len(piece)
            yield piece

    def open(self) -> int:
        """The file opened again, only to be read: a program must not change what the next line delivers."""
        return os.open(b"/proc/self/fd/%d" % self._fd, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give up the file, and with it its room on the disk."""
        os.close(self._fd)


def nameless_file(home: int) -> FileMessage:
    """An empty file on the home's file system that goes away with its descriptor. Raises OSError."""
    try:
        return FileMessage(os.open(b".", os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=home))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    # NFS knows no O_TMPFILE.
    name = b".message.%s" % os.urandom(8).hex().encode()
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=home)
    os.unlink(name, dir_fd=home)
    return FileMessage(fd)


def write_all(fd: int, data: bytes) -> None:
    """write(2) until all is written. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
