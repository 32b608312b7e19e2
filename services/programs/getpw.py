"""qmail-getpw(8): which account a local part without an entry in users/assign is, by the accounts of users/passwd."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from qmail.control.paths import read_paths
from services.programs.program import PERMANENT, Program

_BREAK = b"-"
# GETPW_USERLEN, its NUL included: longer names are never found.
_NAME_BYTES = 32
_ALIAS = b"alias"
# qmail-lspawn's exit codes: there is no alias; a home may be there later.
_NO_ALIAS, _NO_HOME = 115, 117


class Account(NamedTuple):
    """A line of passwd(5), as far as it counts here."""

    name: bytes
    uid: bytes
    gid: bytes
    home: bytes


def getpw(arguments: Sequence[bytes]) -> int:
    """The six fields of qmail-users(5) that qmail-lspawn takes, each with a NUL behind it."""
    if not arguments:
        return PERMANENT
    try:
        account, dash, ext = find(arguments[0], read_accounts(read_paths(os.environ).users / "passwd"))
    except KeyError:
        return _NO_ALIAS
    except OSError:
        return _NO_HOME
    sys.stdout.buffer.write(b"".join(field + b"\0" for field in (*account, dash, ext)))
    return 0


def read_accounts(path: Path) -> dict[bytes, Account]:
    """The accounts by name. Raises OSError."""
    lines = (line.split(b":") for line in path.read_bytes().splitlines())
    return {line[0]: Account(line[0], line[2], line[3], line[5]) for line in lines if len(line) > 5}


def find(local: bytes, accounts: Mapping[bytes, Account]) -> tuple[Account, bytes, bytes]:
    """Account, dash and extension: the longest part of `local` before a break that is a user with a home of his own,
    else alias. Raises KeyError where there is no alias, OSError where a home may be there later."""
    ends = [len(local), *(at for at in range(len(local) - 1, -1, -1) if local[at : at + 1] == _BREAK)]
    for end in ends:
        account = accounts.get(local[:end].lower()) if end < _NAME_BYTES else None
        if account is not None and _has_home(account):
            rest = local[end:]
            return account, rest[:1], rest[1:]
    return accounts[_ALIAS], _BREAK, local


def _has_home(account: Account) -> bool:
    """Not root, and the owner of his home (qmail-getpw(8))."""
    try:
        return account.uid not in (b"", b"0") and os.stat(account.home).st_uid == int(account.uid)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False


PROGRAMS: dict[str, Program] = {"qmail-getpw": getpw}
