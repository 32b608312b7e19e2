"""Files below control/ that nobody reads stand as alerts: told at the start and at each reload."""

from __future__ import annotations

from pathlib import Path

from qmail.control.names import unread_in
from qmail.log.notices import Notices


class UnreadFiles:
    """One control directory."""

    def __init__(self, directory: Path, notices: Notices) -> None:
        self._directory = directory
        self._notices = notices
        self._told: set[str] = set()

    def tell(self) -> None:
        """As they are now. A directory that cannot be listed is told by whoever reads its files."""
        try:
            found = unread_in(self._directory)
        except OSError:
            return
        for name in self._told - found.keys():
            self._notices.mended(_key(name))
        for name, sentence in found.items():
            self._notices.stands(_key(name), sentence)
        self._told = set(found)


def _key(name: str) -> str:
    return f"control/{name}"
