"""authpgsql: a table of PostgreSQL has the hashes, as argon2 makes them or as libcrypt does (crypt(5)).

auth/authpgsqlrc has Courier's settings.
"""

from __future__ import annotations

import hmac
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from services.auth.modules.crypt import Crypt, NoCrypt
from services.auth.modules.module import ModuleError, NotSetUp, Verdict, spend_the_same
from services.auth.modules.reach import ANSWER_SECONDS, Reach
from services.auth.modules.settings_file import SettingsFile
from services.auth.modules.userdb import matches

_KNOWN: Final = frozenset(
    "PGSQL_HOST PGSQL_PORT PGSQL_USERNAME PGSQL_PASSWORD PGSQL_DATABASE PGSQL_USER_TABLE PGSQL_LOGIN_FIELD "
    "PGSQL_CRYPT_PWFIELD PGSQL_CLEAR_PWFIELD PGSQL_WHERE_CLAUSE PGSQL_SSLMODE PGSQL_SSLROOTCERT DEFAULT_DOMAIN".split()
)
_OF_OTHERS: Final = frozenset(
    "PGSQL_UID_FIELD PGSQL_GID_FIELD PGSQL_HOME_FIELD PGSQL_NAME_FIELD PGSQL_MAILDIR_FIELD PGSQL_QUOTA_FIELD "
    "PGSQL_DEFAULTDELIVERY PGSQL_AUXOPTIONS_FIELD PGSQL_OPT".split()
)


class PgSql:
    """One database; a connection for each password."""

    name = "authpgsql"

    def __init__(self, path: Path) -> None:
        """Raises NotSetUp, ModuleError."""
        settings = SettingsFile(path, _KNOWN, _OF_OTHERS)
        try:
            self._crypt = Crypt()
        except NoCrypt as error:
            raise NotSetUp(f"libcrypt is not installed ({error})") from error
        hashed, clear = settings.get("PGSQL_CRYPT_PWFIELD"), settings.get("PGSQL_CLEAR_PWFIELD")
        if bool(hashed) == bool(clear):
            raise ModuleError(f"{path}: expected PGSQL_CRYPT_PWFIELD or PGSQL_CLEAR_PWFIELD, one of both")
        self._is_clear = bool(clear)
        self._domain = settings.get("DEFAULT_DOMAIN")
        self._query = _query(settings, hashed or clear)
        self._target: dict[str, Any] = {
            "host": settings.get("PGSQL_HOST"),
            "port": settings.number("PGSQL_PORT", 5432),
            "user": settings.need("PGSQL_USERNAME"),
            "password": settings.get("PGSQL_PASSWORD"),
            "dbname": settings.need("PGSQL_DATABASE"),
            "sslmode": settings.get("PGSQL_SSLMODE", "prefer"),
            "sslrootcert": settings.get("PGSQL_SSLROOTCERT", "system" if _is_verified(settings) else ""),
        }
        self._reach = Reach("authpgsql")

    def version(self) -> Hashable:
        return None

    def missing(self, _service: str) -> str:
        return self._reach.trouble

    def __call__(self, name: bytes, password: bytes, _service: str) -> Verdict:
        """TEMPORARY where the server does not answer, or answers two rows."""
        if not self._reach.may_ask:
            return Verdict.TEMPORARY
        try:
            rows = self._ask(name.decode("utf-8") + (f"@{self._domain}" if self._domain else ""))
        except (psycopg.Error, UnicodeError) as error:
            self._reach.failed(error)
            return Verdict.TEMPORARY
        self._reach.answered()
        if len(rows) != 1:
            return Verdict.TEMPORARY if rows else Verdict.UNKNOWN
        stored = rows[0][0]
        if not isinstance(stored, str) or not stored:
            spend_the_same(password)
            return Verdict.NO
        return Verdict.YES if self._is_right(stored, password) else Verdict.NO

    def _ask(self, name: str) -> list[Any]:
        """Raises psycopg.Error."""
        options = f"-c statement_timeout={ANSWER_SECONDS * 1000}"
        target = {key: value for key, value in self._target.items() if value}
        with psycopg.connect(**target, connect_timeout=ANSWER_SECONDS, options=options, autocommit=True) as connection:
            return connection.execute(self._query, (name,)).fetchmany(2)

    def _is_right(self, stored: str, password: bytes) -> bool:
        if self._is_clear:
            return hmac.compare_digest(stored.encode(), password)
        if stored.startswith("$argon2"):
            return matches(stored, password)
        right = self._crypt.matches(stored.encode("utf-8", "replace"), password)
        return spend_the_same(password) if right is None else right


def _query(settings: SettingsFile, field: str) -> Composed:
    table = Identifier(*settings.need("PGSQL_USER_TABLE").split("."))
    login = Identifier(settings.get("PGSQL_LOGIN_FIELD", "id"))
    where = settings.get("PGSQL_WHERE_CLAUSE")
    text = SQL("SELECT {} FROM {} WHERE {} = %s").format(Identifier(field), table, login)
    # The administrator's own words; a percent sign in them is no place for a value.
    return text + SQL(f" AND ({where.replace('%', '%%')})") if where else text


def _is_verified(settings: SettingsFile) -> bool:
    return settings.get("PGSQL_SSLMODE").startswith("verify-")
