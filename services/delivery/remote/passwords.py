"""The passwords for relays, read again when their file changes (qmail.control.route_passwords)."""

from __future__ import annotations

import os
from pathlib import Path

from qmail.control.route_passwords import FILE, parse_passwords, relay_name
from services.delivery.remote.login import Login
from services.delivery.remote.routes import Route


class NoPasswordError(Exception):
    """A route wants a log-in, and its password is not there or cannot be read."""


class RoutePasswords:
    """Those among the role's credentials; None: there are none."""

    def __init__(self, credentials: Path | None = None) -> None:
        self._path = None if credentials is None else credentials / FILE
        self._stamp: tuple[int, int, int] | None = None
        self._passwords: dict[tuple[bytes, bytes], bytes] = {}

    def login(self, route: Route) -> Login:
        """Who logs in by this route. Raises NoPasswordError."""
        if self._path is None:
            raise NoPasswordError
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._passwords = parse_passwords(self._path.read_bytes())
                self._stamp = stamp
        except OSError as error:
            raise NoPasswordError from error
        password = self._passwords.get((relay_name(route.host, route.port), route.user))
        if password is None:
            raise NoPasswordError
        return Login(route.user, password)
