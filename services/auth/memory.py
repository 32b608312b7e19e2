"""Remembering answers for a minute, so that clients which log in for every folder cost one hash.

A right password is remembered for the network that it came from, and not longer than some wrong ones come from there:
otherwise others could try passwords against the memory without any budget. A wrong password is remembered for
everybody: a program that keeps trying an old password costs nothing and slows nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

REMEMBER_SECONDS: Final = 60.0
MAX_ENTRIES: Final = 10_000
#: So many others than the right one in its minute; then it has to be verified again.
MAX_MISSES: Final = 10


@dataclass(slots=True)
class _Right:
    digest: bytes
    until: float
    misses: int = 0


class Memory:
    """Keyed hashes of passwords; the key lives and dies with the process. `version` is that of the stored hashes:
    another forgets everything."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._version: Hashable = None
        self._right: OrderedDict[bytes, _Right] = OrderedDict()
        self._wrong: OrderedDict[bytes, float] = OrderedDict()

    def _digest(self, *parts: bytes) -> bytes:
        return hmac.digest(self._key, b"".join(b"%d:%s" % (len(part), part) for part in parts), hashlib.sha256)

    def is_right(self, name: bytes, password: bytes, service: str, network: str, version: Hashable, now: float) -> bool:
        """Whether this was right less than a minute ago, from this network."""
        self._see(version)
        place = self._digest(name, service.encode(), network.encode())
        found = self._right.get(place)
        if found is None or found.until <= now:
            return False
        if hmac.compare_digest(found.digest, self._digest(name, service.encode(), password)):
            return True
        found.misses += 1
        if found.misses >= MAX_MISSES:
            del self._right[place]
        return False

    def is_wrong(self, name: bytes, password: bytes, service: str, version: Hashable, now: float) -> bool:
        """Whether this was wrong less than a minute ago."""
        self._see(version)
        return self._wrong.get(self._digest(name, service.encode(), password), now) > now

    def right(self, name: bytes, password: bytes, service: str, network: str, version: Hashable, now: float) -> None:
        """Note a success; not when the hashes have changed since it was verified."""
        if version == self._version:
            place = self._digest(name, service.encode(), network.encode())
            self._right[place] = _Right(self._digest(name, service.encode(), password), now + REMEMBER_SECONDS)
            _bound(self._right, place)

    def wrong(self, name: bytes, password: bytes, service: str, version: Hashable, now: float) -> None:
        """Note a wrong password; likewise."""
        if version == self._version:
            digest = self._digest(name, service.encode(), password)
            self._wrong[digest] = now + REMEMBER_SECONDS
            _bound(self._wrong, digest)

    def _see(self, version: Hashable) -> None:
        if version != self._version:
            self._right.clear()
            self._wrong.clear()
            self._version = version


def _bound(entries: OrderedDict[bytes, _Right] | OrderedDict[bytes, float], last: bytes) -> None:
    entries.move_to_end(last)
    if len(entries) > MAX_ENTRIES:
        entries.popitem(last=False)
