"""What a session adds to its Maildir and takes away, as the quota counts it. Blocking."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from qmail.maildir.quota import add, has_room, read_quota, recount, size_of
from services.imap.store.errors import OverQuota
from services.imap.store.mailbox import Mailbox
from services.imap.store.message import Message
from services.imap.store.names import TRASH

#: Bytes on the disk, and number.
Sizes = tuple[int, int]


class Counted:
    """Of one command. `maildir`: the Maildir's descriptor."""

    def __init__(self, maildir: int) -> None:
        self._maildir = maildir
        self._size = self._count = 0
        #: Whether there is a quota at all.
        self.limited = read_quota(maildir) is not None

    def sizes(self, mailbox: Mailbox, messages: Iterable[Message | None]) -> Sizes:
        """Of those messages that count; one that is gone counts nothing."""
        size = count = 0
        for message in messages if self.limited else ():
            if message is not None and b"T" not in message.flags:
                with contextlib.suppress(OSError):
                    size += size_of(message.path, mailbox.fd)
                    count += 1
        return size, count

    def admit(self, name: bytes, sizes: Sizes) -> None:
        """So much is to come into the mailbox. Raises OverQuota where it has no room."""
        if self.limited and name != TRASH and not has_room(self._maildir, *sizes):
            raise OverQuota

    def came(self, name: bytes, sizes: Sizes) -> None:
        """So much has come into the mailbox."""
        if name != TRASH:
            self._size += sizes[0]
            self._count += sizes[1]

    def went(self, name: bytes, sizes: Sizes) -> None:
        """So much has left the mailbox."""
        self.came(name, (-sizes[0], -sizes[1]))

    def note(self) -> None:
        """Write down what came and went."""
        if self.limited and (self._size or self._count):
            add(self._maildir, self._size, self._count)
        self._size = self._count = 0

    def anew(self) -> None:
        """Whole folders have come or gone."""
        quota = read_quota(self._maildir)
        if quota is not None:
            recount(self._maildir, quota.limits)
