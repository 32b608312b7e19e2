"""The server's certificate: `cert.pem` and `key.pem` in one directory, read again when they change."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

_log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class TlsUnavailable(Exception):
    """There is no usable certificate."""


class ServerTls:
    """Contexts for the server's side of TLS (1.2 and later), one for every state of the two files.

    A renewed certificate is used by the next handshake. While the new files are unreadable or do not fit
    together (they are two files, so there is such a moment) the old pair stays in use.
    """

    def __init__(self, directory: Path) -> None:
        self._certificate = directory / "cert.pem"
        self._key = directory / "key.pem"
        self._stamp: Stamp | None = None
        self._context: ssl.SSLContext | None = None

    @property
    def available(self) -> bool:
        """Whether STARTTLS may be offered now."""
        try:
            self.context()
        except TlsUnavailable:
            return False
        return True

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake. Raises TlsUnavailable when there never was a usable pair."""
        stamp = self._read_stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._load()
        if self._context is None:
            raise TlsUnavailable(f"no certificate in {self._certificate.parent}")
        return self._context

    def _read_stamp(self) -> Stamp | None:
        try:
            found = (os.stat(self._certificate), os.stat(self._key))
        except OSError:
            return None
        return tuple((status.st_ino, status.st_size, status.st_mtime_ns) for status in found)

    def _load(self) -> None:
        if self._stamp is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            _log.warning("certificate not usable: %s: %s", self._certificate, error)
            return
        self._context = context
