"""Files that survive a crash: written aside, synced, renamed; owners and modes repaired, never guessed."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """Writes with owners where the deployment has a uid per role and user, plainly where it has not."""

    per_user: bool

    def directory(self, path: Path, mode: int, uid: int = 0, gid: int = 0) -> None:
        """Make the directory if it is missing and set its mode and owner if they differ. Raises OSError."""
        if not path.is_dir():
            path.mkdir(parents=True)
            sync_directory(path.parent)
        self.settle(path, mode, uid, gid)

    def tree(self, path: Path, mode: int, uid: int, gid: int) -> None:
        """The same for a directory with all that lies in it: given to its owner once, whatever its owner makes of it
        afterwards. The top comes last, so that the next start goes on where this one is broken off. Raises OSError."""
        if self.per_user and path.is_dir() and os.lstat(path).st_uid != uid:
            for _, directories, files, fd in os.fwalk(path, topdown=False):
                for name in (*directories, *files):
                    os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
        self.directory(path, mode, uid, gid)

    def file(self, path: Path, content: bytes, mode: int, uid: int = 0, gid: int = 0) -> bool:
        """Make the file hold exactly this. True if it had to be written. Raises OSError.

        A crash leaves the old content or the new, never a part: rename(2)."""
        try:
            same = path.read_bytes() == content
        except FileNotFoundError:
            same = False
        if same:
            self.settle(path, mode, uid, gid)
            return False
        self._replace(path, content, mode, uid, gid)
        return True

    def file_once(self, path: Path, content: bytes, mode: int, uid: int = 0, gid: int = 0) -> None:
        """Make the file with this content if there is none; an existing one keeps its content."""
        if not os.path.lexists(path):
            self._replace(path, content, mode, uid, gid)

    def _replace(self, path: Path, content: bytes, mode: int, uid: int, gid: int) -> None:
        aside = path.parent / f".tmp.{path.name.lstrip('.')}"
        aside.unlink(missing_ok=True)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as out:
            out.write(content)
            out.flush()
            self._own(aside, uid, gid)
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
        os.rename(aside, path)
        sync_directory(path.parent)

    def settle(self, path: Path, mode: int, uid: int, gid: int) -> None:
        """Set mode and owner where they differ. Raises OSError, and PermissionError for a symbolic link."""
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            raise PermissionError(f"{path} is a symbolic link; expected the thing itself")
        if self.per_user and (found.st_uid, found.st_gid) != (uid, gid):
            self._own(path, uid, gid)
            found = os.lstat(path)
        if stat.S_IMODE(found.st_mode) != mode:
            os.chmod(path, mode)

    def _own(self, path: Path, uid: int, gid: int) -> None:
        if self.per_user:
            os.chown(path, uid, gid, follow_symlinks=False)


def is_per_user(environ: Mapping[str, str], euid: int) -> bool:
    """IDENTITY: whether each role and account has a uid of its own. Raises ValueError with what was expected."""
    identity = environ.get("IDENTITY") or ("per-user" if euid == 0 else "single")
    if identity not in ("per-user", "single"):
        raise ValueError(f"IDENTITY is {identity!r}; expected per-user or single")
    if identity == "single" and euid == 0:
        raise ValueError("IDENTITY is single; expected per-user, because uid 0 runs nothing as itself")
    return identity == "per-user"


def sync_directory(path: Path) -> None:
    """Make the directory's entries durable (fsync(2)). Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
