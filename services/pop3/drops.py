"""Maildrops as they were last seen: a log-in to one that has not changed reads nothing, to another what is new. Any
thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from qmail.maildir.reader import Entry
from services.pop3.requests import Message

# Messages in all of them: some 25 MB.
MAX_MESSAGES = 50_000

#: Device and inode of the Maildir, and who looks: what one account may see says nothing of another.
Key = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Drop:
    """`times`: of the directories, taken before they were read; `sure`: long enough before for any later change to have
    another time. `entries`: by name."""

    times: tuple[int, ...] = ()
    sure: bool = False
    messages: tuple[Message, ...] = ()
    entries: Mapping[bytes, Entry] = field(default_factory=dict)


class Drops:
    """One a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, Drop] = OrderedDict()
        self._messages = 0

    def get(self, key: Key) -> Drop:
        """The drop as it was seen; an empty one."""
        with self._lock:
            found = self._known.get(key)
            if found is None:
                return Drop()
            self._known.move_to_end(key)
            return found

    def put(self, key: Key, drop: Drop) -> None:
        """It was seen so."""
        with self._lock:
            self._messages += len(drop.messages) - len(self._known.get(key, Drop()).messages)
            self._known[key] = drop
            self._known.move_to_end(key)
            while self._messages > MAX_MESSAGES:
                _, oldest = self._known.popitem(last=False)
                self._messages -= len(oldest.messages)
