"""users/assign rendered and parsed for its writer (qmail-users(5)), and the NSS files made from it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FIRST_UID = 2001
MAX_NAME = 31
# root never receives mail itself (qmail-getpw(8)); alias owns what nobody owns.
RESERVED = frozenset({"root", "alias"})

_NAME = re.compile(r"[a-z_][a-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One account: `home` is absolute."""

    name: str
    uid: int
    home: Path


def check_name(name: str) -> str:
    """The name as it is. Raises ValueError that says what is wrong with it."""
    if len(name) > MAX_NAME:
        raise ValueError(f"the name {name!r} has {len(name)} characters; expected at most {MAX_NAME}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a name; expected a-z first, then a-z 0-9 . _ -")
    if name in RESERVED:
        file = ".qmail" if name == "alias" else f".qmail-{name}"
        raise ValueError(f"{name} is not an account of a person; mail for it goes where alias/{file} says")
    return name


def user_lines(user: User) -> list[str]:
    """The exact entry and that for user-extension addresses."""
    who = f"{user.name}:{user.uid}:{user.uid}:{user.home}"
    return [f"={user.name}:{who}:::", f"+{user.name}-:{who}:-::"]


def alias_lines(alias_uid: int, alias_home: Path) -> list[str]:
    """alias's own entries, as every account has them, and the one for every name without an entry (qmail-pw2u(8))."""
    alias = User(name="alias", uid=alias_uid, home=alias_home)
    return [*user_lines(alias), f"+:alias:{alias_uid}:{alias_uid}:{alias_home}:-::"]


def render_assign(lines: Iterable[str]) -> str:
    """The lines and the dot that says the file is whole."""
    return "".join(f"{line}\n" for line in (*lines, "."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """users/assign as found: our users, and every line that an administrator added by hand, kept as it is."""

    users: tuple[User, ...]
    lines: tuple[str, ...]

    def with_user(self, user: User) -> tuple[str, ...]:
        """The lines and those of a new user, who stands before the entry for all other names."""
        rest = tuple(line for line in self.lines if line.startswith("+:"))
        others = tuple(line for line in self.lines if not line.startswith("+:"))
        return (*others, *user_lines(user), *rest)

    def without(self, name: str) -> tuple[str, ...]:
        """The lines but those of that user."""
        return tuple(line for line in self.lines if line.split(":")[1:2] != [name])


def parse_assign(text: str, where: Path) -> Table:
    """Raises ValueError with file and line where the file is not as qmail-newu(8) wants it."""
    lines = text.split("\n")
    if "." not in lines:
        raise ValueError(f"{where}:{len(lines)}: expected a line with a single dot at the end")
    lines = lines[: lines.index(".")]
    users = {}
    for number, line in enumerate(lines, 1):
        fields = line.split(":")
        if line[:1] not in ("=", "+") or len(fields) < 8 or not fields[2].isdecimal():
            raise ValueError(f"{where}:{number}: expected =local:user:uid:gid:homedir:dash:ext:")
        if line[0] == "=" and fields[0][1:] == fields[1] and fields[1] not in RESERVED:
            users[fields[1]] = User(name=fields[1], uid=int(fields[2]), home=Path(fields[4]))
    return Table(users=tuple(users.values()), lines=tuple(lines))


def render_passwd(users: Iterable[User], alias_uid: int, alias_home: Path) -> str:
    """passwd(5) for libnss-extrausers. `*`, and not `x`: su(1) would ask a shadow file, which there is not, whether the
    account has expired."""
    people = [(u.name, u.uid, u.home) for u in users] + [("alias", alias_uid, alias_home)]
    return "".join(f"{name}:*:{uid}:{uid}::{home}:/bin/sh\n" for name, uid, home in people)


def render_group(users: Iterable[User], alias_uid: int) -> str:
    """group(5) for libnss-extrausers."""
    people = [(u.name, u.uid) for u in users] + [("alias", alias_uid)]
    return "".join(f"{name}:x:{uid}:\n" for name, uid in people)
