"""A message as SEARCH, SORT and THREAD see it. Without I/O but for the files that a key must look into."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from services.imap import message as mime
from services.imap.flags import NAMES as LETTER_NAMES
from services.imap.flags import Keywords
from services.imap.mailbox.selected import Selected
from services.imap.message.header import Field
from services.imap.operations.ready import CACHED, value
from services.imap.search import program as p
from services.imap.search.match import Bounds, matches
from services.imap.store.errors import MessageGone
from services.imap.store.message import Message
from services.imap.store.opened import OpenMessage

Value = TypeVar("Value")


class Candidate:
    """A `search.view.MessageView`."""

    def __init__(self, selected: Selected, message: Message, opened: OpenMessage) -> None:
        self._selected = selected
        self._message = message
        self._opened = opened
        self.uid = message.uid
        self.seq = selected.view.number(message.uid)

    @property
    def flags(self) -> frozenset[bytes]:
        names = {name for letter, name in LETTER_NAMES.items() if letter in self._message.flags}
        if self.uid in self._selected.mailbox.recent:
            names.add(b"\\Recent")
        return frozenset(names)

    @property
    def keywords(self) -> Keywords:
        return self._message.keywords

    @property
    def internaldate(self) -> int:
        return self._opened.stat().st_mtime_ns // 10**9

    @property
    def savedate(self) -> int | None:
        return save_date(self._message)

    def modseq(self) -> int:
        return self._selected.modseq(self.uid)

    def email_id(self) -> bytes:
        return value(self._selected, self.uid, self._opened, *CACHED[b"EMAILID"])[1:-1]

    def size(self) -> int:
        return int(value(self._selected, self.uid, self._opened, *CACHED[b"RFC822.SIZE"]))

    def header(self) -> list[Field]:
        return self._opened.head().root.header

    def message(self) -> mime.Message:
        return self._opened.parsed()


def bounds_of(selected: Selected) -> Bounds:
    """The mailbox as the client knows it, now."""
    uids = selected.view.uids
    saved = tuple((uid, uid) for uid in selected.saved)
    return Bounds(exists=len(uids), largest_uid=uids[-1] if uids else 0, saved=saved, now=int(time.time()))


def look(selected: Selected, uid: int, key: p.Key, take: Callable[[Candidate], Value]) -> Value | None:
    """What `take` takes from the message where a bound `key` means it; None: it is not meant, or gone. Raises OSError
    for what cannot be read."""
    message = selected.mailbox.messages.get(uid)
    if message is None:
        return None
    with OpenMessage(selected.mailbox, uid) as opened:
        try:
            candidate = Candidate(selected, message, opened)
            return take(candidate) if matches(key, candidate) else None
        except MessageGone:
            return None  # removed by another session; it is told with the next EXPUNGE


def save_date(message: Message) -> int | None:
    """When the message came into its folder, seconds since the epoch: the time in its unique name, which delivery,
    APPEND, COPY and MOVE all give anew (RFC 8514); None: its name has none."""
    digits = message.base.split(b".", 1)[0]
    return int(digits) if digits.isdigit() and len(digits) <= 10 else None
