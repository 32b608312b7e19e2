"""One message's file, opened when it is needed and however it is named by then. Blocking."""

from __future__ import annotations

import os

from services.imap import message as mime
from services.imap.store import files
from services.imap.store.errors import MessageGone
from services.imap.store.known import KnownFile
from services.imap.store.mailbox import Mailbox


class OpenMessage:
    """Use in a `with` block. Methods raise MessageGone, and OSError for what is no message or cannot be read.

    keep: a large message stays open for the mailbox's next commands, the last one only. Clients ask for it piece by
    piece, and each piece would cost a look at all of it."""

    def __init__(self, mailbox: Mailbox, uid: int, *, keep: bool = False) -> None:
        self._mailbox = mailbox
        self._uid = uid
        self._keep = keep
        self._file: KnownFile | None = None

    def __enter__(self) -> OpenMessage:
        return self

    def __exit__(self, *_: object) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        if self._keep and file.large:
            self._mailbox.keep(file)
        else:
            file.close()

    def file(self) -> KnownFile:
        """The open file."""
        if self._file is None:
            self._file = self._kept() or self._opened()
        return self._file

    def _kept(self) -> KnownFile | None:
        file = self._mailbox.take_kept(self._uid)
        if file is not None and not file.unchanged():
            file.close()
            return None
        self._keep = self._keep or file is not None
        return file

    def _opened(self) -> KnownFile:
        message = self._mailbox.messages.get(self._uid)
        while message is not None:
            try:
                return KnownFile(self._uid, os.open(message.path, files.READ, dir_fd=self._mailbox.fd))
            except FileNotFoundError:
                message = self._mailbox.find(self._uid)
        raise MessageGone

    def stat(self) -> os.stat_result:
        """The file's status, which takes no right to read it."""
        return self._file.status if self._file is not None else self._named()

    def _named(self) -> os.stat_result:
        message = self._mailbox.messages.get(self._uid)
        while message is not None:
            try:
                return os.stat(message.path, dir_fd=self._mailbox.fd, follow_symlinks=False)
            except FileNotFoundError:
                message = self._mailbox.find(self._uid)
        raise MessageGone

    def text(self) -> mime.Text:
        """The octets in CRLF form."""
        return self.file().text()

    def head(self) -> mime.Message:
        """The message with its header alone."""
        return self.file().head()

    def parsed(self) -> mime.Message:
        """The message with its parts."""
        return self.file().parsed()
