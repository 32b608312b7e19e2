"""APPEND: messages taken piece by piece into the folder's tmp, then linked into cur (RFC 3501 section 6.3.11)."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from qmail.maildir.date import set_date
from qmail.maildir.names import flagged_name
from services.imap import replies
from services.imap.flags import FlagSet
from services.imap.grammar.sequence import render_set
from services.imap.session.results import Answer
from services.imap.store import files
from services.imap.store.counted import Counted
from services.imap.store.errors import TooManyMessages
from services.imap.store.keywords import write_keywords
from services.imap.store.mailbox import Mailbox

#: Messages in one command: each is a file in tmp until all are there.
MAX_MESSAGES = 1000


@dataclass(slots=True)
class _Message:
    """One message on its way. `fd`: -1 once it is complete and on stable storage."""

    fd: int
    tmp: str
    flags: FlagSet
    date: int | None
    size: int = 0


class Incoming:
    """The messages of one APPEND (several with MULTIAPPEND, RFC 3502: all or none). Owns the mailbox, whose name is
    `name`."""

    def __init__(self, mailbox: Mailbox, name: bytes, counted: Counted) -> None:
        self._mailbox = mailbox
        self._name = name
        self._counted = counted
        self._messages: list[_Message] = []
        self._pending_cr = False
        self._failed: OSError | None = None

    def known_keywords(self) -> list[bytes]:
        """The folder's keywords. Raises OSError, Busy."""
        return self._mailbox.keyword_names()

    def admit(self, size: int) -> None:
        """A message of so many octets is to come. Raises OverQuota."""
        before = sum(message.size for message in self._messages)
        self._counted.admit(self._name, (before + size, len(self._messages) + 1))

    def begin(self, flags: FlagSet, date: int | None) -> None:
        """Open a file for the next message; `date` in seconds since the epoch. Raises OSError, TooManyMessages."""
        self._end_message()
        if len(self._messages) >= MAX_MESSAGES:
            raise TooManyMessages
        tmp = files.unique_name()
        mode = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(f"tmp/{tmp}", mode, 0o600, dir_fd=self._mailbox.fd)
        self._messages.append(_Message(fd, tmp, flags, date))
        self._pending_cr = False

    def write(self, data: bytes) -> None:
        """Take octets of the message; CR LF becomes LF, as everything lies in a Maildir.

        Trouble with the disk is raised by `commit`: until then the client cannot be interrupted."""
        if self._pending_cr:
            data = b"\r" + data
        self._pending_cr = data.endswith(b"\r")
        self._write(data[:-1] if self._pending_cr else data)

    def _write(self, data: bytes) -> None:
        try:
            self._write_out(data)
        except OSError as error:
            self._failed = error

    def _write_out(self, data: bytes) -> None:
        if self._failed is not None:
            return
        message = self._messages[-1]
        view = memoryview(data.replace(b"\r\n", b"\n"))
        message.size += len(view)
        while view:
            view = view[os.write(message.fd, view) :]

    def _end_message(self) -> None:
        """The last message is complete: its descriptor is not kept while others come."""
        if self._pending_cr:
            self._pending_cr = False
            self._write(b"\r")
        if not self._messages or self._messages[-1].fd < 0:
            return
        try:
            self._settle(self._messages[-1])
        except OSError as error:
            self._failed = self._failed or error

    def _settle(self, message: _Message) -> None:
        try:
            if message.date is not None:
                set_date(message.fd, message.date * 10**9)
            os.fsync(message.fd)
        finally:
            _close(message)

    def abort(self) -> None:
        """Leave nothing behind but the messages that were linked."""
        self._drop_tmp()
        self._mailbox.close()

    def commit(self) -> Answer:
        """Have all messages on stable storage, in cur, and numbered. Raises OSError: then none is there."""
        linked: list[tuple[bytes, bytes]] = []
        try:
            self._end_message()
            if self._failed is not None:
                raise self._failed
            for message in self._messages:
                linked.append(self._link(message))
            files.sync_directory(self._mailbox.fd, b"cur")
        except BaseException:
            for _, path in linked:
                with contextlib.suppress(OSError):
                    os.unlink(path, dir_fd=self._mailbox.fd)
            raise
        finally:
            came = [message.size for message in self._messages if b"T" not in message.flags.letters]
            self._drop_tmp()
        self._counted.came(self._name, (sum(came), len(came)))
        self._counted.note()
        return self._numbered([base for base, _ in linked])

    def _link(self, message: _Message) -> tuple[bytes, bytes]:
        folder = self._mailbox.fd
        base = f"{message.tmp},S={message.size}".encode()
        if message.flags.keywords:
            write_keywords(folder, base, message.flags.keywords)
        path = b"cur/" + flagged_name(base, message.flags.letters)
        os.link(f"tmp/{message.tmp}".encode(), path, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        return base, path

    def _drop_tmp(self) -> None:
        for message in self._messages:
            _close(message)
            with contextlib.suppress(OSError):
                os.unlink(f"tmp/{message.tmp}", dir_fd=self._mailbox.fd)
        self._messages.clear()

    def _numbered(self, bases: list[bytes]) -> Answer:
        uids = assigned(self._mailbox, bases)
        validity = self._mailbox.validity
        self._mailbox.close()
        return Answer(code=replies.uid_code(b"APPENDUID", validity, render_set(uids)) if uids else b"")


def _close(message: _Message) -> None:
    if message.fd >= 0:
        fd, message.fd = message.fd, -1
        os.close(fd)


def assigned(mailbox: Mailbox, bases: list[bytes]) -> list[int]:
    """The UIDs of messages that were just put into the folder; empty if not all could be numbered now, for good."""
    try:
        mailbox.refresh()
    except OSError:
        return []
    if not mailbox.sticky:
        return []
    uids = [mailbox.uid_of(base) for base in bases]
    return [uid for uid in uids if uid is not None] if None not in uids else []
