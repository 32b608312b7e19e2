"""One message's file, opened when it is needed and however it is named by then. Blocking."""

from __future__ import annotations

import errno
import os
import stat

from services.imap import message as mime
from services.imap.message.text import Data
from services.imap.store import files
from services.imap.store.content import FileContent
from services.imap.store.errors import MessageGone
from services.imap.store.mailbox import Mailbox

# A file up to this is read as a whole; a session holds no larger message in memory.
READ_BYTES = 1024 * 1024
# Nobody was sent such a message: a file beyond this is not looked into, whatever its owner has made of it.
MAX_MESSAGE_BYTES = 1024 * 1024 * 1024


class OpenMessage:
    """Use in a `with` block. Methods raise MessageGone, and OSError for what is no message or cannot be read."""

    def __init__(self, mailbox: Mailbox, uid: int) -> None:
        self._mailbox = mailbox
        self._uid = uid
        self._fd = -1
        self._data: Data | None = None
        self._parsed: mime.Message | None = None
        self._stat: os.stat_result | None = None

    def __enter__(self) -> OpenMessage:
        return self

    def __exit__(self, *_: object) -> None:
        self._parsed = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def open(self) -> int:
        """The file's descriptor."""
        if self._fd < 0:
            message = self._mailbox.messages.get(self._uid)
            while message is not None and self._fd < 0:
                try:
                    self._fd = os.open(message.path, files.READ, dir_fd=self._mailbox.fd)
                except FileNotFoundError:
                    message = self._mailbox.find(self._uid)
            if self._fd < 0:
                raise MessageGone
        return self._fd

    def stat(self) -> os.stat_result:
        """The file's status, which takes no right to read it."""
        if self._stat is None:
            self._stat = self._named() if self._fd < 0 else os.fstat(self._fd)
        return self._stat

    def _named(self) -> os.stat_result:
        message = self._mailbox.messages.get(self._uid)
        while message is not None:
            try:
                return os.stat(message.path, dir_fd=self._mailbox.fd, follow_symlinks=False)
            except FileNotFoundError:
                message = self._mailbox.find(self._uid)
        raise MessageGone

    def data(self) -> Data:
        """The file's content."""
        if self._data is None:
            status = os.fstat(self.open())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "a message that is no file")
            if status.st_size > MAX_MESSAGE_BYTES:
                raise OSError(errno.EFBIG, "a message beyond all bounds")
            content = FileContent(self.open(), status.st_size)
            self._data = content if status.st_size > READ_BYTES else content[:]
        return self._data

    def parsed(self) -> mime.Message:
        """The message in it."""
        if self._parsed is None:
            self._parsed = mime.parse(self.data())
        return self._parsed
