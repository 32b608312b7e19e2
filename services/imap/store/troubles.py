"""What lies in a Maildir and cannot be used: for an administrator, who alone can mend it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from qmail.log.unusable import why_unusable

# Of one session; whoever has more wrong with a Maildir has been told enough to look.
MAX_NOTED = 1000


@dataclass(frozen=True, slots=True)
class Trouble:
    """A file or directory, and what is wrong with it, with the right that is missing."""

    path: str
    why: str


class Troubles:
    """One session's, each noted once. Noted in the thread that met it; taken by whoever writes the log."""

    def __init__(self, maildir: Path) -> None:
        self._maildir = os.fsencode(maildir)
        self._noted: set[bytes] = set()
        self._fresh: list[Trouble] = []

    def note(self, path: bytes, error: OSError) -> None:
        """path: below the Maildir, empty for itself."""
        whole = os.path.join(self._maildir, path) if path else self._maildir
        if whole in self._noted or len(self._noted) >= MAX_NOTED:
            return
        self._noted.add(whole)
        self._fresh.append(Trouble(whole.decode("latin-1"), why_unusable(error, whole)))

    def take(self) -> list[Trouble]:
        """What was noted since the last time."""
        fresh, self._fresh = self._fresh, []
        return fresh
