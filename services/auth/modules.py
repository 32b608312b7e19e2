"""The ways to check a password, named as Courier names them in authmodulelist. Blocking: called in threads."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Hashable, Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from qmail.accounts.hasher import HASHER
from qmail.control.settings import SettingsError
from services.auth.hashes import Hashes

#: What people log in to; Courier's services that have files in /etc/pam.d (chapter 7.2).
SERVICES: Final = ("imap", "pop3", "smtp")
#: Where PAM looks for a service's rules (pam.conf(5)). Without any, those of `other` count, which deny.
PAM_DIRECTORIES: Final = (Path("/etc/pam.d"), Path("/usr/lib/pam.d"))
#: _pam_types.h: wrong password, unknown user, account expired or denied.
PAM_AUTH_ERR: Final = 7
PAM_USER_UNKNOWN: Final = 10
PAM_REFUSALS: Final = frozenset({6, PAM_AUTH_ERR, 11, 12, 13})


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

    def missing(self, service: str) -> str:
        """What keeps it from answering for this service, and how it is mended; empty where nothing does."""

    def __call__(self, name: bytes, password: bytes, service: str) -> Verdict: ...


class ModuleError(SettingsError):
    """authmodulelist names what there is not; the text says what was expected."""


class UserDb:
    """authuserdb: argon2id hashes of our own (RFC 9106)."""

    name = "authuserdb"

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes

    def version(self) -> Hashable:
        return self._hashes.version()

    def missing(self, service: str) -> str:
        return ""

    def __call__(self, name: bytes, password: bytes, service: str) -> Verdict:
        """TEMPORARY when the file cannot be read."""
        try:
            found = self._hashes.find(name)
        except OSError:
            return Verdict.TEMPORARY
        if found is None:
            return Verdict.UNKNOWN
        return Verdict.YES if _matches(found, password) else Verdict.NO


class Pam:
    """authpam: the machine's own rules, /etc/pam.d/imap, pop3 and smtp."""

    name = "authpam"

    def __init__(self, directories: Sequence[Path] = PAM_DIRECTORIES) -> None:
        """Raises ModuleError where PAM is not installed."""
        try:
            import pam
        except (ImportError, OSError) as error:
            raise ModuleError(f"authpam: PAM is not installed ({error})") from error
        self._new: Callable[[], pam.PamAuthenticator] = pam.PamAuthenticator
        self._directories = directories

    def version(self) -> Hashable:
        return None

    def missing(self, service: str) -> str:
        if service not in SERVICES or any(os.access(directory / service, os.R_OK) for directory in self._directories):
            return ""
        path = self._directories[0] / service
        reason = "cannot be read" if path.exists() else "missing"
        return f"authpam: {path}: {reason}; expected PAM's rules for {service}, without which nobody logs in there"

    def __call__(self, name: bytes, password: bytes, service: str) -> Verdict:
        if service not in SERVICES:
            return Verdict.UNKNOWN
        if self.missing(service):
            return Verdict.TEMPORARY
        conversation = self._new()
        # python-pam encodes to UTF-8 again: surrogates carry bytes that are not.
        secret = password.decode("utf-8", "surrogateescape")
        try:
            right = conversation.authenticate(name.decode("ascii"), secret, service=service, resetcreds=False)
        except UnicodeError:
            return Verdict.NO
        except OSError:
            return Verdict.TEMPORARY
        return Verdict.YES if right else _pam_verdict(conversation.code)


def _pam_verdict(code: int) -> Verdict:
    if code == PAM_USER_UNKNOWN:
        return Verdict.UNKNOWN
    return Verdict.NO if code in PAM_REFUSALS else Verdict.TEMPORARY


def _matches(found: str, password: bytes) -> bool:
    try:
        return HASHER.verify(found, password)
    except VerifyMismatchError:
        return False
    except (VerificationError, InvalidHashError):
        # A locked account, or a line that is no hash: as slow as a wrong password, so that nobody can tell.
        return spend_the_same(password)


_NOBODYS: Final = HASHER.hash(secrets.token_bytes(16))


def spend_the_same(password: bytes) -> bool:
    """Do the work of a verification for a name without a hash. Always False."""
    try:
        HASHER.verify(_NOBODYS, password)
    except VerificationError:
        pass  # as meant: only the time it takes counts
    return False


def read_modules(names: Iterable[bytes], hashes: Hashes) -> tuple[Module, ...]:
    """The modules of control/authmodulelist, tried in order. Raises ModuleError."""
    known: dict[bytes, Callable[[], Module]] = {b"authuserdb": lambda: UserDb(hashes), b"authpam": Pam}
    return tuple(known[name]() for name in names)


def verify(modules: Sequence[Module], name: bytes | None, password: bytes, service: str) -> Verdict:
    """The first module that knows the name decides. Unknown names (None: without an account) cost the same."""
    for module in modules if name is not None else ():
        assert name is not None
        verdict = module(name, password, service)
        if verdict is not Verdict.UNKNOWN:
            return verdict
    spend_the_same(password)
    return Verdict.NO
