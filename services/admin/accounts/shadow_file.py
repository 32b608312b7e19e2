"""auth/shadow: another machine's hashes (shadow(5)), of which a line goes when its account gets a password of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from services.admin.accounts.passwords import LOCKED
from services.admin.install import Installer


class ShadowFile:
    """The file, where there is one. What raises raises OSError."""

    def __init__(self, path: Path, installer: Installer) -> None:
        self._path = path
        self._installer = installer

    def settle(self) -> None:
        """Owner and mode for auth alone, however it was copied here."""
        if self._path.exists():
            self._installer.settle(self._path, 0o400, 0, 0)

    def forget(self, name: str) -> None:
        """Take an account's line out."""
        self._change(name, lambda _fields: None)

    def set_locked(self, name: str, *, locked: bool) -> bool:
        """Lock, or unlock, an account's hash as usermod(8) does; whether it has one."""

        def change(fields: list[str]) -> list[str]:
            return [fields[0], LOCKED * locked + fields[1].lstrip(LOCKED), *fields[2:]]

        return self._change(name, change)

    def _change(self, name: str, change: Callable[[list[str]], list[str] | None]) -> bool:
        try:
            lines = self._path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except FileNotFoundError:
            return False
        changed, found = [], False
        for line in lines:
            fields: list[str] | None = line.split(":")
            if line.startswith(f"{name}:"):
                found, fields = True, change(line.split(":"))
            if fields is not None:
                changed.append(":".join(fields) + "\n")
        if found:
            self._installer.file(self._path, "".join(changed).encode("utf-8", "surrogateescape"), 0o400)
        return found
