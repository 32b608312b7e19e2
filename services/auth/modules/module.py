"""What a way to check a password is. Blocking: called in threads."""

from __future__ import annotations

import secrets
from collections.abc import Hashable
from enum import Enum
from typing import Final, Protocol

from argon2.exceptions import VerificationError

from qmail.accounts.hasher import HASHER
from qmail.control.settings import SettingsError

#: What people log in to; Courier's services that have files in /etc/pam.d (chapter 7.2).
SERVICES: Final = ("imap", "pop3", "smtp")


class Verdict(Enum):
    """What a module says."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    TEMPORARY = "temporary"


class Module(Protocol):
    """One way to check a password. `name` is as in authmodulelist."""

    name: str

    def version(self) -> Hashable:
        """Changes whenever the answers may. Raises OSError where nothing can be answered."""

    def missing(self, service: str, /) -> str:
        """What keeps it from answering for this service, and how it is mended; empty where nothing does."""

    def __call__(self, name: bytes, password: bytes, service: str, /) -> Verdict: ...


class ModuleError(SettingsError):
    """What a module is told cannot be meant; the text says where, and what was expected."""


class NotSetUp(Exception):
    """The module is known, and has not been told what it needs: it is passed over; the text says what is missing."""


_NOBODYS: Final = HASHER.hash(secrets.token_bytes(16))


def spend_the_same(password: bytes) -> bool:
    """Do the work of a verification for a name without a hash. Always False."""
    try:
        HASHER.verify(_NOBODYS, password)
    except VerificationError:
        pass  # as meant: only the time it takes counts
    return False
