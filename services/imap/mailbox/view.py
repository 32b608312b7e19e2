"""A mailbox as one client knows it: message numbers to UIDs, and what it was told of flags. Pure.

Message numbers shift only when the client is told (RFC 3501 section 7.4.1), so a message that somebody else expunged
keeps its place here until then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.imap.flags import Keywords

if TYPE_CHECKING:
    from services.imap.store.mailbox import Message

Told = tuple[bytes, Keywords]


@dataclass(frozen=True, slots=True)
class Changes:
    """What to tell. `expunged`: message numbers, each as it is when its turn comes; `exists`, `recent`: None if
    as before; `flags`: UIDs."""

    expunged: tuple[int, ...] = ()
    exists: int | None = None
    recent: int | None = None
    flags: tuple[int, ...] = ()


class View:
    """Begins empty; the first `update` makes it the mailbox."""

    def __init__(self) -> None:
        self.uids: list[int] = []
        self._told: dict[int, Told] = {}
        self._highest = 0
        self._recent = 0

    def number(self, uid: int) -> int:
        """The message number of a UID in the view."""
        return bisect_left(self.uids, uid) + 1

    def keywords(self) -> frozenset[bytes]:
        """Those that the client knows some message to have."""
        return frozenset().union(*(words for _, words in self._told.values()))

    def told(self, message: Message) -> None:
        """The client knows these flags of the message now."""
        if message.uid in self._told:
            self._told[message.uid] = (message.flags, message.keywords)

    def update(self, messages: Mapping[int, Message], recent: Iterable[int], *, expunge: bool) -> Changes:
        """Take the mailbox's present state in."""
        gone = self._remove_gone(messages) if expunge else ()
        added = sorted(uid for uid in messages.keys() - self._told.keys() if uid > self._highest)
        changed = tuple(
            uid
            for uid in self.uids
            if (message := messages.get(uid)) is not None and self._told[uid] != (message.flags, message.keywords)
        )
        for uid in (*added, *changed):
            self._told[uid] = (messages[uid].flags, messages[uid].keywords)
        self.uids += added
        self._highest = max(self._highest, *added) if added else self._highest
        count = sum(uid in self._told for uid in recent)
        recents = count if count != self._recent or added else None
        self._recent = count
        return Changes(gone, len(self.uids) if added else None, recents, changed)

    def _remove_gone(self, messages: Mapping[int, Message]) -> tuple[int, ...]:
        gone = [uid for uid in self.uids if uid not in messages]
        if not gone:
            return ()
        # From the last to the first, so that no number shifts before its turn.
        numbers = tuple(self.number(uid) for uid in reversed(gone))
        lost = set(gone)
        self.uids = [uid for uid in self.uids if uid not in lost]
        for uid in gone:
            del self._told[uid]
        return numbers
