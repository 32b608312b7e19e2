"""The server's certificate: `cert.pem` and `key.pem` in one directory, read again when they change.

What is wrong with them stands in the notices until it is mended, and so does a certificate's end that is near.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from qmail.door.expiry import not_after
from qmail.log.notices import Notices
from qmail.log.unusable import why_unusable

#: A certificate that ends within so many days is an alert: who renews by hand has time left.
WARNING_DAYS: Final = 14
DAY_SECONDS: Final = 86_400.0
#: Keys of what stands.
UNUSABLE: Final = "tls"
ENDING: Final = "certificate"

Stamp: TypeAlias = tuple[tuple[int, ...] | int, ...]


class TlsUnavailable(Exception):
    """There is no usable certificate."""


class _Unusable(Exception):
    """The pair cannot be used; the text names the file and what was expected."""


class _Encrypted(Exception):
    """OpenSSL asked for a pass phrase."""


class ServerTls:
    """Contexts for the server's side of TLS (1.2 and later), one for every state of the two files.

    A renewed certificate is used by the next handshake. While the new files are unreadable or do not fit
    together (they are two files, so there is such a moment) the old pair stays in use.
    """

    def __init__(self, directory: Path, notices: Notices, clock: Callable[[], float] = time.time) -> None:
        self._certificate = directory / "cert.pem"
        self._key = directory / "key.pem"
        self._notices = notices
        self._clock = clock
        self._stamp: Stamp | None = None
        self._context: ssl.SSLContext | None = None
        self._ends = float("inf")

    @property
    def available(self) -> bool:
        """Whether STARTTLS may be offered now."""
        self._refresh()
        return self._context is not None

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake. Raises TlsUnavailable when there never was a usable pair."""
        self._refresh()
        if self._context is None:
            raise TlsUnavailable(f"no usable certificate in {self._certificate.parent}")
        return self._context

    def look(self) -> None:
        """Read the files again where they changed, and compare the certificate's end with the calendar."""
        self._refresh()
        left = self._ends - self._clock()
        if left > WARNING_DAYS * DAY_SECONDS:
            self._notices.mended(ENDING)
            return
        day = time.strftime("%Y-%m-%d", time.gmtime(self._ends))
        said = f"ended on {day}" if left <= 0 else f"ends on {day}, in {left / DAY_SECONDS:.0f} days"
        self._notices.stands(ENDING, f"{self._certificate} {said}: renew it")

    def _refresh(self) -> None:
        stamp = (_stamp(self._certificate), _stamp(self._key))
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._context, self._ends = _load(self._certificate, self._key)
        except _Unusable as error:
            effect = "TLS is off" if self._context is None else "the pair that was read before stays in use"
            self._notices.stands(UNUSABLE, f"{error}; {effect}")
        else:
            self._notices.mended(UNUSABLE)
            self.look()


def _stamp(path: Path) -> tuple[int, ...] | int:
    """What changes with the file, its rights too; the error's number where it cannot be looked at."""
    try:
        status = os.stat(path)
    except OSError as error:
        return error.errno or 0
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _load(certificate: Path, key: Path) -> tuple[ssl.SSLContext, float]:
    """The pair's context, and when the certificate ends (seconds since 1970). Raises _Unusable."""
    for path in (certificate, key):
        _check_readable(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key, password=_ask_nobody)
        return context, _end_of(certificate)
    except _Encrypted as error:
        raise _Unusable(f"{key} is encrypted; expected a key without a pass phrase (openssl pkey -in ...)") from error
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise _Unusable(_fault(certificate, key, error)) from error


def _ask_nobody() -> str:
    """Without this OpenSSL asks on the terminal."""
    raise _Encrypted


def _check_readable(path: Path) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        why = why_unusable(error, os.fspath(path))
        raise _Unusable(f"{path}: {why}; expected a file in PEM form that uid {os.geteuid()} may read") from error


def _end_of(certificate: Path) -> float:
    """Infinite where its form is one that OpenSSL understands and we do not."""
    try:
        return not_after(certificate.read_text(encoding="ascii", errors="replace"))
    except ValueError:
        return float("inf")


def _fault(certificate: Path, key: Path, error: OSError | ValueError) -> str:
    """OpenSSL does not say which of the two files it means."""
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return f"{certificate} does not fit {key.name}: the certificate is of another key"
    if _end_of(certificate) == float("inf"):
        return f"{certificate}: no certificate; expected one in PEM form, and its chain"
    return f"{key}: no private key that fits; expected one in PEM form"
