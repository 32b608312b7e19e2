"""authuserdb: argon2id hashes of our own (RFC 9106)."""

from __future__ import annotations

from collections.abc import Hashable

from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from qmail.accounts.hasher import HASHER
from services.auth.modules.hashes import Hashes
from services.auth.modules.module import Verdict, spend_the_same


class UserDb:
    """The accounts of useradd."""

    name = "authuserdb"

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes

    def version(self) -> Hashable:
        return self._hashes.version()

    def missing(self, _service: str) -> str:
        return ""

    def __call__(self, name: bytes, password: bytes, _service: str) -> Verdict:
        """TEMPORARY when the file cannot be read."""
        try:
            found = self._hashes.find(name)
        except OSError:
            return Verdict.TEMPORARY
        if found is None:
            return Verdict.UNKNOWN
        return Verdict.YES if matches(found, password) else Verdict.NO


def matches(found: str, password: bytes) -> bool:
    """Whether an argon2 hash is of this password; as slow as a wrong one where it is no hash at all."""
    try:
        return HASHER.verify(found, password)
    except VerifyMismatchError:
        return False
    except (VerificationError, InvalidHashError):
        # A locked account, or a line that is no hash: as slow as a wrong password, so that nobody can tell.
        return spend_the_same(password)
