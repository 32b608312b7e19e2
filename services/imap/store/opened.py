"""One message's file, opened when it is needed and however it is named by then. Blocking."""

from __future__ import annotations

import mmap
import os

from services.imap import message as mime
from services.imap.message.text import Data
from services.imap.store.errors import MessageGone
from services.imap.store.mailbox import Mailbox

# A file up to this is read; a larger one is mapped, so that a session holds no large message in memory.
READ_BYTES = 1024 * 1024


class OpenMessage:
    """Use in a `with` block. Methods raise MessageGone and OSError."""

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
                    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
                    self._fd = os.open(message.path, flags, dir_fd=self._mailbox.fd)
                except FileNotFoundError:
                    message = self._mailbox.find(self._uid)
            if self._fd < 0:
                raise MessageGone
        return self._fd

    def stat(self) -> os.stat_result:
        """The file's status."""
        if self._stat is None:
            self._stat = os.fstat(self.open())
        return self._stat

    def data(self) -> Data:
        """The file's content."""
        if self._data is None:
            size = self.stat().st_size
            if size <= READ_BYTES:
                self._data = self._read(size)
            else:
                self._data = mmap.mmap(self.open(), size, prot=mmap.PROT_READ)
        return self._data

    def _read(self, size: int) -> bytes:
        content = b""
        while piece := os.pread(self.open(), size + 1, len(content)):
            content += piece
        return content

    def parsed(self) -> mime.Message:
        """The message in it."""
        if self._parsed is None:
            self._parsed = mime.parse(self.data())
        return self._parsed
