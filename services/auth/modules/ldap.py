"""authldap: a directory server says whose entry it is, and takes or refuses that entry's password (RFC 4513 5.1.3).

auth/authldaprc has Courier's settings. The entry's password is tried by binding as it, so that every kind of hash is
the server's affair (LDAP_AUTHBIND 1, the only way here).
"""

from __future__ import annotations

import ssl
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars

from services.auth.modules.module import ModuleError, Verdict
from services.auth.modules.reach import ANSWER_SECONDS, Reach
from services.auth.modules.settings_file import SettingsFile

_KNOWN: Final = frozenset(
    "LDAP_URI LDAP_BASEDN LDAP_BINDDN LDAP_BINDPW LDAP_MAIL LDAP_DOMAIN LDAP_FILTER LDAP_TLS LDAP_TLS_CACERT "
    "LDAP_AUTHBIND".split()
)
_OF_OTHERS: Final = frozenset(
    "LDAP_PROTOCOL_VERSION LDAP_TIMEOUT LDAP_DEREF LDAP_GLOB_UID LDAP_GLOB_GID LDAP_HOMEDIR LDAP_MAILROOT "
    "LDAP_MAILDIR LDAP_MAILDIRQUOTA LDAP_FULLNAME LDAP_CLEARPW LDAP_CRYPTPW LDAP_UID LDAP_GID LDAP_DEFAULTDELIVERY "
    "LDAP_ENUMERATE_FILTER LDAP_INITBIND".split()
)
_SWITCH: Final = {"0": False, "1": True}
#: RFC 4511 appendix A.
_SUCCESS, _NO_SUCH_OBJECT, _INVALID_CREDENTIALS = 0, 32, 49


class Ldap:
    """One directory, on one server or several of which the first that answers counts."""

    name = "authldap"

    def __init__(self, path: Path) -> None:
        """Raises NotSetUp, ModuleError."""
        settings = SettingsFile(path, _KNOWN, _OF_OTHERS)
        if not settings.one_of("LDAP_AUTHBIND", _SWITCH, "1"):
            raise ModuleError(f"{path}: LDAP_AUTHBIND: expected 1, a password is tried by binding as its entry")
        self._base = settings.need("LDAP_BASEDN")
        self._bind = (settings.get("LDAP_BINDDN"), settings.get("LDAP_BINDPW"))
        self._attribute = settings.get("LDAP_MAIL", "mail")
        self._domain = settings.get("LDAP_DOMAIN")
        self._filter = settings.get("LDAP_FILTER", "(objectClass=*)")
        self._starttls = settings.one_of("LDAP_TLS", _SWITCH, "0")
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=settings.get("LDAP_TLS_CACERT") or None)
        uris = settings.need("LDAP_URI").replace(",", " ").split()
        if not all(uri.startswith(("ldap://", "ldaps://")) for uri in uris):
            raise ModuleError(f"{path}: LDAP_URI: expected ldap:// or ldaps:// and a host")
        self._servers = [
            ldap3.Server(uri, tls=tls, connect_timeout=ANSWER_SECONDS, get_info=ldap3.NONE) for uri in uris
        ]
        self._reach = Reach("authldap")

    def version(self) -> Hashable:
        return None

    def missing(self, _service: str) -> str:
        return self._reach.trouble

    def __call__(self, name: bytes, password: bytes, _service: str) -> Verdict:
        """TEMPORARY where no server answers, or two entries have this name."""
        if not self._reach.may_ask:
            return Verdict.TEMPORARY
        trouble: object = ""
        for server in self._servers:
            try:
                verdict = self._ask(server, name, password)
            except (LDAPException, OSError, UnicodeError) as error:
                trouble = error
                continue
            self._reach.answered()
            return verdict
        self._reach.failed(trouble)
        return Verdict.TEMPORARY

    def _ask(self, server: Any, name: bytes, password: bytes) -> Verdict:
        """Raises LDAPException, OSError."""
        with self._connection(server, *self._bind) as connection:
            self._bound(connection)
            wanted = name.decode("utf-8") + (f"@{self._domain}" if self._domain else "")
            text = f"(&{self._filter}({self._attribute}={escape_filter_chars(wanted)}))"
            connection.search(self._base, text, attributes=[], size_limit=2)
            if connection.result["result"] not in (_SUCCESS, _NO_SUCH_OBJECT):
                raise LDAPException(f"the search: {connection.result['description']}")
            entries = [entry["dn"] for entry in connection.response if entry["type"] == "searchResEntry"]
        if not entries:
            return Verdict.UNKNOWN
        if len(entries) > 1:
            return Verdict.TEMPORARY
        return self._try(server, entries[0], password)

    def _try(self, server: Any, entry: str, password: bytes) -> Verdict:
        with self._connection(server, entry, password) as connection:
            connection.bind()
            code = connection.result["result"]
        if code in (_SUCCESS, _INVALID_CREDENTIALS):
            return Verdict.YES if code == _SUCCESS else Verdict.NO
        raise LDAPException(f"the log-in: {connection.result['description']}")

    def _bound(self, connection: Any) -> None:
        if not connection.bind():
            raise LDAPException(f"LDAP_BINDDN was refused: {connection.result['description']}")

    def _connection(self, server: Any, user: str, password: str | bytes) -> Any:
        connection = ldap3.Connection(
            server, user or None, password or None, read_only=True, receive_timeout=ANSWER_SECONDS
        )
        connection.open()
        if self._starttls and not connection.start_tls():
            raise LDAPException("the server has no StartTLS, which LDAP_TLS asks for")
        return _Closing(connection)


class _Closing:
    """A connection that is closed at the end, bound or not; ldap3's own would bind at the beginning."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.unbind()
