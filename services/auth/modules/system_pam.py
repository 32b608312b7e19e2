"""authpam: the machine's own rules, /etc/pam.d/imap, pop3 and smtp."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Final

from services.auth.modules.module import SERVICES, NotSetUp, Verdict

#: Where PAM looks for a service's rules (pam.conf(5)). Without any, those of `other` count, which deny.
PAM_DIRECTORIES: Final = (Path("/etc/pam.d"), Path("/usr/lib/pam.d"))
#: _pam_types.h: wrong password, unknown user, account expired or denied.
PAM_AUTH_ERR: Final = 7
PAM_USER_UNKNOWN: Final = 10
PAM_REFUSALS: Final = frozenset({6, PAM_AUTH_ERR, 11, 12, 13})

#: Of the tutorial's files (7.2), and what stands for it today.
GONE: Final = {
    "pam_stack.so": "expected `auth include system-auth` in place of `auth required pam_stack.so service=system-auth`",
    "pam_pwdb.so": "expected pam_unix.so",
}


class Pam:
    """PAM, one conversation a log-in. What its rules start (pam_exec) is bounded by who calls: one each."""

    name = "authpam"

    def __init__(self, directories: Sequence[Path] = PAM_DIRECTORIES) -> None:
        """Raises NotSetUp where PAM is not installed."""
        try:
            import pam
        except (ImportError, OSError) as error:
            raise NotSetUp(f"PAM is not installed ({error})") from error
        self._new: Callable[[], pam.PamAuthenticator] = pam.PamAuthenticator
        self._directories = directories

    def version(self) -> Hashable:
        return None

    def missing(self, service: str) -> str:
        if service not in SERVICES:
            return ""
        expected = f"expected PAM's rules for {service}, without which nobody logs in there"
        for path in (directory / service for directory in self._directories):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                continue
            except OSError:
                return f"authpam: {path}: cannot be read; {expected}"
            gone = [f"{old}, which Linux-PAM no longer has: {new}" for old, new in GONE.items() if old in _rules(text)]
            return f"authpam: {path}: names {gone[0]}" if gone else ""
        return f"authpam: {self._directories[0] / service}: missing; {expected}"

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
        return Verdict.YES if right else pam_verdict(conversation.code)


def _rules(text: str) -> str:
    return "\n".join(line.partition("#")[0] for line in text.splitlines())


def pam_verdict(code: int) -> Verdict:
    """What a return value of PAM other than success says of a password."""
    if code == PAM_USER_UNKNOWN:
        return Verdict.UNKNOWN
    return Verdict.NO if code in PAM_REFUSALS else Verdict.TEMPORARY
