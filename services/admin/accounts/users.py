"""Accounts: users/assign is the authority, written by admin alone, under a lock.

Order of useradd: the uid is put down in users/uids (so that it is never given twice), the home is made, the password
is stored, the NSS files, and last users/assign: only then does the account exist. A crash before that leaves nothing
that receives mail, and the next useradd of that name goes on where the last one stopped.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.admin.accounts import assign, passwords
from services.admin.accounts.assign import FIRST_UID, User, check_name
from services.admin.accounts.home import make_home
from services.admin.accounts.relocation import Relocation, find_relocation
from services.admin.accounts.shadow_file import ShadowFile
from services.admin.accounts.uid_registry import DELETED, REMOVED, UidRegistry
from services.admin.directories import Directories
from services.admin.install import Installer


class UserError(Exception):
    """The account cannot be made or changed; the text says why and what would help."""


class Users:
    """The accounts of one deployment."""

    def __init__(self, directories: Directories, installer: Installer, alias_uid: int) -> None:
        self._directories = directories
        self._paths = directories.paths
        self._installer = installer
        self._alias_uid = alias_uid
        self._assign = self._paths.users / "assign"
        self._hashes = self._paths.auth / "passwd"
        self._shadow = ShadowFile(self._paths.auth / "shadow", installer)
        self._registry = UidRegistry(self._paths.users / "uids", installer)

    @property
    def founded(self) -> bool:
        """Whether users/assign exists: first start has made the first account."""
        return self._assign.exists()

    def all(self) -> tuple[User, ...]:
        """The accounts in order of creation. Raises ValueError for a bad line."""
        return self._read().users

    def named(self, name: str) -> User:
        """The account. Raises UserError where there is none, ValueError for a bad line."""
        return self._known(name, self._read())

    def add(self, name: str, password: str | None) -> User:
        """Make an account with home, Maildir and password; None: nobody logs in until it has one.

        Raises UserError (name taken or a stranger's home in the way), ValueError (name, password), OSError."""
        check_name(name)
        hashed = passwords.LOCKED if password is None else passwords.hash_password(password)
        with self._lock():
            table = self._read()
            if any(user.name == name for user in table.users):
                raise UserError(f"{name}: this account exists already; qmailctl passwd {name} changes its password")
            user = self._claim(name, table)
            self._make_home(user)
            self._store_hash(name, hashed)
            self._write(table.with_user(user), (*table.users, user))
        return user

    def remove(self, name: str, *, remove_home: bool = False) -> User:
        """End an account; its uid is never given again. Raises UserError, OSError."""
        with self._lock():
            table = self._read()
            user = self._known(name, table)
            self._write(table.without(name), [u for u in table.users if u.name != name])
            self._store_hash(name, None)
            self._registry.mark(user.uid, DELETED)
            if remove_home:
                shutil.rmtree(user.home)
                self._registry.mark(user.uid, REMOVED)
        return user

    def set_password(self, name: str, password: str) -> None:
        """Raises UserError, ValueError, OSError."""
        hashed = passwords.hash_password(password)
        with self._lock():
            self._known(name, self._read())
            self._store_hash(name, hashed)

    def set_locked(self, name: str, *, locked: bool) -> None:
        """Refuse, or allow again, log-in by password; mail is received either way. Raises UserError, OSError."""
        with self._lock():
            self._known(name, self._read())
            there = self._shadow.set_locked(name, locked=locked)
            old = passwords.read_hashes(self._hashes).get(name)
            if old is None and there:
                return
            old = (old or "").removeprefix(passwords.LOCKED)
            self._change_hash(name, passwords.LOCKED + old if locked else old)

    def refresh(self) -> Relocation | None:
        """Make the NSS files fit users/assign, modes and owners what they should be, and homes those of this place;
        what was moved. Raises OSError, ValueError for a bad line."""
        with self._lock():
            relocation = self._relocation(self._found())
            table = self._read()
            self._write(table.lines, table.users)
            if self._hashes.exists():
                self._installer.settle(self._hashes, 0o400, 0, 0)
            self._shadow.settle()
        return relocation

    def _claim(self, name: str, table: assign.Table) -> User:
        taken = max((u.uid for u in table.users), default=FIRST_UID - 1)
        uid = self._registry.claim(name, max(FIRST_UID, taken + 1))
        return User(name=name, uid=uid, home=self._paths.home / name)

    def _make_home(self, user: User) -> None:
        if os.path.lexists(user.home):
            self._ours(user)
        make_home(user, self._directories.skeleton, self._installer)

    def _ours(self, user: User) -> None:
        """A home found in the way may only be one that a broken-off useradd of ours has made."""
        found = os.lstat(user.home)
        foreign = found.st_uid != user.uid if self._installer.per_user else self._registry.was_deleted(user.name)
        if foreign:
            raise UserError(f"{user.home} exists already and was somebody else's; move it away or remove it")

    def _known(self, name: str, table: assign.Table) -> User:
        for user in table.users:
            if user.name == name:
                return user
        raise UserError(f"{name}: no such account; qmailctl users lists them")

    def _store_hash(self, name: str, hashed: str | None) -> None:
        """The only password that there is from now on."""
        self._change_hash(name, hashed)
        self._shadow.forget(name)

    def _change_hash(self, name: str, hashed: str | None) -> None:
        hashes = passwords.read_hashes(self._hashes)
        hashes.pop(name, None)
        if hashed is not None:
            hashes[name] = hashed
        passwords.write_hashes(self._hashes, hashes, self._installer)

    def _read(self) -> assign.Table:
        """The accounts with their homes in this place."""
        table = self._found()
        relocation = self._relocation(table)
        if relocation is None:
            return table
        return assign.parse_assign(assign.render_assign(map(relocation.line, table.lines)), self._assign)

    def _relocation(self, table: assign.Table) -> Relocation | None:
        return find_relocation(table.lines, self._paths.alias, self._paths.home)

    def _found(self) -> assign.Table:
        try:
            text = self._assign.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            lines = assign.alias_lines(self._alias_uid, self._paths.alias)
            return assign.Table(users=(), lines=tuple(lines))
        return assign.parse_assign(text, self._assign)

    def _write(self, lines: list[str] | tuple[str, ...], users: list[User] | tuple[User, ...]) -> None:
        directory, alias = self._paths.users, self._paths.alias
        texts = {
            "passwd": assign.render_passwd(users, self._alias_uid, alias),
            "group": assign.render_group(users, self._alias_uid),
            "assign": assign.render_assign(lines),
        }
        for name, text in texts.items():
            self._installer.file(directory / name, text.encode("utf-8", "surrogateescape"), 0o644)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        path: Path = self._paths.users / ".lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
