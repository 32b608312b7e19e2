"""An open message file and what is known of it: octets, header, parts and line ends, as far as anybody has asked."""

from __future__ import annotations

import errno
import os
import stat

from services.imap import message as mime
from services.imap.message.text import Data
from services.imap.store.content import FileContent

# A file up to this is read as a whole; a session holds no larger message in memory.
READ_BYTES = 1024 * 1024
# Nobody was sent such a message: a file beyond this is not looked into, whatever its owner has made of it.
MAX_MESSAGE_BYTES = 1024 * 1024 * 1024


class KnownFile:
    """Owns the descriptor. Methods raise MessageGone, and OSError for what is no message or cannot be read."""

    def __init__(self, uid: int, fd: int) -> None:
        self.uid = uid
        self.fd = fd
        self.status = os.fstat(fd)
        self._data: Data | None = None
        self._text: mime.Text | None = None
        self._head: mime.Message | None = None
        self._parsed: mime.Message | None = None

    def close(self) -> None:
        """Give the descriptor back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def large(self) -> bool:
        """Whether it is read in windows: to remember it costs little memory, to find it all out again much time."""
        return self.status.st_size > READ_BYTES

    def unchanged(self) -> bool:
        """Whether the file still has a name and is what it was."""
        now, then = os.fstat(self.fd), self.status
        return now.st_nlink > 0 and (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)

    def data(self) -> Data:
        """The file's octets."""
        if self._data is None:
            if not stat.S_ISREG(self.status.st_mode):
                raise OSError(errno.EINVAL, "a message that is no file")
            if self.status.st_size > MAX_MESSAGE_BYTES:
                raise OSError(errno.EFBIG, "a message beyond all bounds")
            content = FileContent(self.fd, self.status.st_size)
            self._data = content if self.large else content[:]
        return self._data

    def text(self) -> mime.Text:
        """The octets in CRLF form, without a look at what they mean."""
        if self._text is None:
            self._text = mime.Text(self.data())
        return self._text

    def head(self) -> mime.Message:
        """The message with its header alone: no look at the rest of the file."""
        if self._head is None:
            self._head = mime.parse_head(self.data(), self.text())
        return self._head

    def parsed(self) -> mime.Message:
        """The message with its parts."""
        if self._parsed is None:
            self._parsed = mime.parse(self.data(), self.text())
        return self._parsed
