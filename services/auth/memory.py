"""Remembering a right password for a minute, so that clients which log in for every folder cost one hash. Pure."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

REMEMBER_SECONDS: Final = 60.0
MAX_ENTRIES: Final = 10_000


class Memory:
    """Keyed hashes of right passwords; the key lives and dies with the process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._version: Hashable = None
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def _digest(self, name: bytes, password: bytes, service: str) -> bytes:
        text = b"\0".join((name, service.encode(), password))
        return hmac.digest(self._key, text, hashlib.sha256)

    def knows(self, name: bytes, password: bytes, service: str, version: Hashable, now: float) -> bool:
        """Whether this was right less than a minute ago; `version` of the hashes: another forgets everything."""
        if version != self._version:
            self._until.clear()
            self._version = version
        return self._until.get(self._digest(name, password, service), now) > now

    def remember(self, name: bytes, password: bytes, service: str, version: Hashable, now: float) -> None:
        """Note a success; not when the hashes have changed since it was verified."""
        if version != self._version:
            return
        digest = self._digest(name, password, service)
        self._until[digest] = now + REMEMBER_SECONDS
        self._until.move_to_end(digest)
        if len(self._until) > MAX_ENTRIES:
            self._until.popitem(last=False)
