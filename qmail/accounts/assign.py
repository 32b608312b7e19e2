"""Accounts: users/assign, the authority over who gets mail and with which uid (qmail-users(5)).

The file is read again only when stat(2) says that it changed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from qmail.control.settings import SettingsError

# Ids are below 2^32.
MAX_ID_DIGITS = 10


class AssignError(SettingsError):
    """users/assign cannot be understood; the text names file, line and what was expected."""


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox owner."""

    name: bytes
    uid: int
    gid: int
    home: Path


@dataclass(frozen=True, slots=True)
class Match:
    """The account that a local part leads to, with the dash and the extension for .qmail (qmail-lspawn(8))."""

    account: Account
    dash: bytes
    ext: bytes


@dataclass(frozen=True, slots=True)
class _Entry:
    account: Account
    dash: bytes
    pre: bytes


def _parse_entry(rest: bytes, where: str) -> _Entry:
    fields = rest.split(b":")
    if len(fields) < 7 or not (fields[1].isdigit() and fields[2].isdigit() and fields[3].startswith(b"/")):
        raise AssignError(f"{where}: expected local:user:uid:gid:homedir:dash:ext: with numeric ids")
    user, uid, gid, home, dash, pre = fields[:6]
    if max(len(uid), len(gid)) > MAX_ID_DIGITS:
        raise AssignError(f"{where}: expected ids of at most {MAX_ID_DIGITS} digits")
    account = Account(user, int(uid), int(gid), Path(os.fsdecode(home)))
    return _Entry(account, dash, pre)


class _Table:
    """A parsed users/assign."""

    def __init__(self, content: bytes | None, path: Path) -> None:
        self.exact: dict[bytes, _Entry] = {}
        self.wildcard: dict[bytes, _Entry] = {}
        self.named: dict[bytes, Account] = {}
        self.folded: dict[bytes, Account] = {}
        self.longest = 0
        if content is None:
            return
        lines = content.split(b"\n")
        for number, line in enumerate(lines, 1):
            if line == b".":
                return
            self._add(line, f"{path}:{number}")
        raise AssignError(f"{path}:{len(lines)}: expected a line with a single dot at the end")

    def _add(self, line: bytes, where: str) -> None:
        kind, (local, _, rest) = line[:1], line[1:].partition(b":")
        if kind not in (b"=", b"+") or not rest:
            raise AssignError(f"{where}: expected a line that begins with = or +")
        entry = _parse_entry(rest, where)
        table = self.exact if kind == b"=" else self.wildcard
        table.setdefault(local.lower(), entry)
        self.named.setdefault(entry.account.name, entry.account)
        self.folded.setdefault(entry.account.name.lower(), entry.account)
        self.longest = max(self.longest, len(local))

    def find(self, local: bytes) -> Match | None:
        folded = local.lower()
        entry = self.exact.get(folded)
        if entry is not None:
            return Match(entry.account, entry.dash, entry.pre)
        for length in range(min(len(folded), self.longest), -1, -1):
            entry = self.wildcard.get(folded[:length])
            if entry is not None:
                return Match(entry.account, entry.dash, entry.pre + local[length:])
        return None


class Accounts:
    """users/assign of one deployment."""

    def __init__(self, assign_path: Path) -> None:
        self._path = assign_path
        self._stamp: tuple[int, int, int] | None = None
        self._table = _Table(None, assign_path)

    def _current(self) -> _Table:
        try:
            st = os.stat(self._path)
        except FileNotFoundError:
            self._stamp, self._table = None, _Table(None, self._path)
            return self._table
        stamp = (st.st_mtime_ns, st.st_size, st.st_ino)
        if stamp != self._stamp:
            self._table = _Table(self._path.read_bytes(), self._path)
            self._stamp = stamp
        return self._table

    def find(self, local: bytes) -> Match | None:
        """The account for a local part: exact entries first, then the longest wildcard.

        Raises AssignError (a bad line) and OSError (unreadable): both are temporary for the message."""
        return self._current().find(local)

    def named(self, name: bytes) -> Account | None:
        """The account of that user name, None where there is none. Raises as `find` does."""
        return self._current().named.get(name)

    def folded(self, name: bytes) -> Account | None:
        """The account of that user name in whatever mixture of case, as mail finds it. Raises as `find` does."""
        return self._current().folded.get(name.lower())

    def all(self) -> list[Account]:
        """Every account, in the file's order. Raises as `find` does."""
        return list(self._current().named.values())
