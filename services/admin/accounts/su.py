"""`qmailctl su`: a shell as an account in its home, or as the administrator where control/ and alias/ are (su(1))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from services.admin.accounts.assign import User
from services.admin.accounts.private_mounts import make_reachable

SHELL = "/bin/sh"
# A .qmail that others may write is not obeyed (dot-qmail(5)); control files are read by roles with other uids.
ACCOUNT_UMASK, ADMINISTRATOR_UMASK = 0o077, 0o022


class BadArguments(Exception):
    """Not `[name] [-c command]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for: `name` is None for the administrator."""

    name: str | None
    argv: tuple[str, ...]


def parse_order(arguments: Sequence[str]) -> Order:
    """su's arguments. Raises BadArguments."""
    rest = list(arguments)
    name = rest.pop(0) if rest and not rest[0].startswith("-") else None
    if rest and (len(rest) != 2 or rest[0] != "-c"):
        raise BadArguments
    return Order(name=name, argv=(SHELL, *rest))


def become(user: User, environ: Mapping[str, str], argv: tuple[str, ...], *, per_user: bool) -> NoReturn:
    """Replace this process by the shell, as the account where each has its uid. Raises OSError."""
    if per_user:
        with contextlib.suppress(PermissionError):
            make_reachable([user.home])
        os.setgroups([])
        os.setresgid(user.uid, user.uid, user.uid)
        os.setresuid(user.uid, user.uid, user.uid)
    _replace(user.home, user.name, ACCOUNT_UMASK, environ, argv)


def stay(directory: Path, environ: Mapping[str, str], argv: tuple[str, ...]) -> NoReturn:
    """Replace this process by the administrator's shell. Raises OSError."""
    _replace(directory, "root", ADMINISTRATOR_UMASK, environ, argv)


def _replace(home: Path, name: str, umask: int, environ: Mapping[str, str], argv: tuple[str, ...]) -> NoReturn:
    os.chdir(home)
    os.umask(umask)
    os.execve(argv[0], argv, {**without_python(environ), "HOME": str(home), "USER": name, "LOGNAME": name})


def without_python(environ: Mapping[str, str]) -> dict[str, str]:
    """The same environment for somebody's own programs: ours to Python are not for theirs."""
    return {name: value for name, value in environ.items() if not name.startswith("PYTHON")}
