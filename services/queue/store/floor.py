"""The floor of IN: up to where its records may be forgotten, and what keeps it from rising.

Deleting one by one would cost more than accepting (design.md section 5); a purge by sequence takes a thousand
messages for one fsync.
"""

from __future__ import annotations

from collections import OrderedDict

# How many ended messages make a purge worth its fsync.
PURGE_MESSAGES = 1000
# A live message that keeps this many ended ones from being purged is copied to HOLD ...
BLOCKED_MESSAGES = 256
# ... once it is this old.
BLOCKER_SECONDS = 60


class Floor:
    """The sequences of IN that are still needed, oldest first."""

    def __init__(self) -> None:
        # Sequence of IN -> the messages in that record that are needed.
        self._live: OrderedDict[int, set[int]] = OrderedDict()
        self._last = 0
        self._purged = 0
        self._complete = False

    def complete(self) -> None:
        """Every record that IN held at our start is noted now. Before that nothing may be purged: new mail is noted
        at once, while older records that are needed may not have been."""
        self._live = OrderedDict(sorted(self._live.items()))
        self._complete = True

    def add(self, sequence: int, message_id: int) -> None:
        """A message of a record is needed."""
        self._live.setdefault(sequence, set()).add(message_id)
        self._last = max(self._last, sequence)

    def seen(self, sequence: int) -> None:
        """A record of which a message is not needed any more."""
        self._last = max(self._last, sequence)

    def dead(self, sequence: int, message_id: int) -> None:
        """A message has ended, or HOLD has its copy."""
        live = self._live.get(sequence)
        if live is not None:
            live.discard(message_id)
            if not live:
                del self._live[sequence]

    def floor(self) -> int:
        """The oldest sequence that is needed: all below may go. 0 while that is not known."""
        return next(iter(self._live), self._last + 1) if self._complete else 0

    def purgeable(self) -> int:
        """How many sequences lie between the last purge and the floor."""
        return self.floor() - 1 - self._purged

    def purged(self, below: int) -> None:
        self._purged = max(self._purged, below - 1)

    @property
    def last(self) -> int:
        return self._last

    def blocked(self) -> int:
        """How many ended records lie above the floor."""
        return self._last + 1 - self.floor() - len(self._live) if self._complete else 0

    def oldest(self, most: int) -> list[tuple[int, int]]:
        """(sequence, message id) of the oldest messages that are needed."""
        rows: list[tuple[int, int]] = []
        for sequence, live in self._live.items():
            if len(rows) >= most:
                break
            rows += [(sequence, message_id) for message_id in sorted(live)]
        return rows[:most]

    def needed_after(self, sequence: int) -> list[int]:
        """The messages above a sequence that are needed."""
        return [each for at, live in self._live.items() if at > sequence for each in sorted(live)]

    def __len__(self) -> int:
        return len(self._live)
