"""A mailbox as one client knows it: message numbers to UIDs, and what it was told of flags. Pure.

Message numbers shift only when the client is told (RFC 3501 section 7.4.1), so a message that somebody else expunged
keeps its place here until then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.imap.store.message import Message

# So many places are closed one by one; for more all are written anew.
_FEW = 50


@dataclass(frozen=True, slots=True)
class Changes:
    """What to tell. `expunged`: message numbers, each as it is when its turn comes; `exists`, `recent`: None if
    as before; `flags`: UIDs."""

    expunged: tuple[int, ...] = ()
    exists: int | None = None
    recent: int | None = None
    flags: tuple[int, ...] = ()


class View:
    """Begins empty; the first `update` makes it the mailbox. Of a message it holds the value that the client was told,
    which all sessions share until it changes."""

    def __init__(self) -> None:
        self.uids: list[int] = []
        self._told: list[Message] = []
        self._gone: set[int] = set()
        self._highest = 0
        self._recent = 0

    @property
    def behind(self) -> bool:
        """Whether something that is gone was not told yet, because numbers could not shift just then."""
        return bool(self._gone)

    def number(self, uid: int) -> int:
        """The message number of a UID in the view."""
        return bisect_left(self.uids, uid) + 1

    def has(self, uid: int) -> bool:
        """Whether the client knows the message."""
        place = bisect_left(self.uids, uid)
        return place < len(self.uids) and self.uids[place] == uid

    def numbers(self, uids: Sequence[int]) -> Sequence[int]:
        """The message numbers of UIDs in the view; cheap where these follow each other."""
        first = self.number(uids[0]) if uids else 1
        if self.uids[first - 1 : first - 1 + len(uids)] == uids:
            return range(first, first + len(uids))
        return [self.number(uid) for uid in uids]

    def tell(self, numbers: Iterable[int], messages: Iterable[Message | None]) -> None:
        """The client knows these flags of the messages of these numbers now."""
        for number, message in zip(numbers, messages, strict=True):
            if message is not None:
                self._told[number - 1] = message

    def keywords(self) -> frozenset[bytes]:
        """Those that the client knows some message to have."""
        return frozenset().union(*(message.keywords for message in self._told))

    def told(self, message: Message) -> None:
        """The client knows these flags of the message now."""
        if self.has(message.uid):
            self._told[self.number(message.uid) - 1] = message

    def update(
        self,
        messages: Mapping[int, Message],
        recent: Collection[int],
        *,
        expunge: bool,
        changed: Collection[int] | None = None,
    ) -> Changes:
        """Take the mailbox's present state in. `changed`: the UIDs that need a look; None: all."""
        if not self._highest and changed is None:
            return self._begin(messages, recent)
        if changed is None:
            changed = messages.keys() | set(self.uids)
        self._gone = {uid for uid in self._gone.union(changed) if uid not in messages and self.has(uid)}
        gone = self._remove_gone() if expunge else ()
        flags = tuple(sorted(uid for uid in changed if uid <= self._highest and self._is_news(messages.get(uid))))
        for uid in flags:
            self.told(messages[uid])
        added = sorted(uid for uid in changed if uid > self._highest and uid in messages)
        if added:
            self.uids += added
            self._told += [messages[uid] for uid in added]
            self._highest = added[-1]
        count = sum(map(self.has, recent))
        recents = count if count != self._recent or added else None
        self._recent = count
        return Changes(gone, len(self.uids) if added else None, recents, flags)

    def _begin(self, messages: Mapping[int, Message], recent: Collection[int]) -> Changes:
        self.uids, self._told = list(messages), list(messages.values())
        self._highest = self.uids[-1] if self.uids else 0
        self._recent = sum(map(self.has, recent))
        return Changes((), len(self.uids) or None, self._recent if self.uids else None)

    def _is_news(self, message: Message | None) -> bool:
        if message is None or not self.has(message.uid):
            return False
        told = self._told[self.number(message.uid) - 1]
        return told is not message and (told.flags, told.keywords) != (message.flags, message.keywords)

    def _remove_gone(self) -> tuple[int, ...]:
        gone, self._gone = self._gone, set()
        # From the last to the first, so that no number shifts before its turn.
        numbers = tuple(self.number(uid) for uid in sorted(gone, reverse=True))
        if len(numbers) > _FEW:
            kept = [(uid, told) for uid, told in zip(self.uids, self._told, strict=True) if uid not in gone]
            self.uids, self._told = [uid for uid, _ in kept], [told for _, told in kept]
            return numbers
        for number in numbers:
            del self.uids[number - 1], self._told[number - 1]
        return numbers
