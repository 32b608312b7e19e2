"""Telling IMAP of new mail: once a turn of the loop for each mailbox."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable

from qmail.bus.talk import new_mail


@functools.lru_cache(maxsize=1024)
def folder_in(home: bytes, maildir: bytes) -> bytes:
    """The Maildir's path below the home; empty where it lies elsewhere."""
    folder = os.path.normpath(os.path.join(home, maildir))
    inside = os.path.normpath(home) + b"/"
    return folder[len(inside) :] if folder.startswith(inside) else b""


class Announcer:
    """Announces each mailbox once a turn of the loop, however many messages came into it."""

    def __init__(self, publish: Callable[[str, bytes], None]) -> None:
        self._publish = publish
        self._waiting: dict[tuple[int, bytes], None] = {}

    def announce(self, uid: int, home: bytes, maildir: bytes) -> None:
        """A message came into this Maildir, a path below the home or an absolute one."""
        folder = folder_in(home, maildir)
        if not folder:
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._send)
        self._waiting[(uid, folder)] = None

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for uid, folder in waiting:
            new_mail.tell(self._publish, uid, folder)
