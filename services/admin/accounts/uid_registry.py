"""users/uids: every uid ever given, so that none is given twice: `uid:name:state` a line."""

from __future__ import annotations

from pathlib import Path

from services.admin.install import Installer

GIVEN = "given"
DELETED = "deleted"
REMOVED = "removed"


class UidRegistry:
    """The file; all methods are called under the lock of users/."""

    def __init__(self, path: Path, installer: Installer) -> None:
        self._path = path
        self._installer = installer

    def claim(self, name: str, at_least: int) -> int:
        """The uid for a new account, durable before it is used; the same again where a useradd broke off.

        Raises OSError, and ValueError for a bad line."""
        entries = self._read()
        for uid, (known, state) in entries.items():
            if known == name and state == GIVEN:
                return uid
        uid = max([at_least - 1, *entries]) + 1
        self._write({**entries, uid: (name, GIVEN)})
        return uid

    def mark(self, uid: int, state: str) -> None:
        """Put down what became of a uid. Raises as `claim`."""
        entries = self._read()
        name = entries.get(uid, ("", ""))[0]
        self._write({**entries, uid: (name, state)})

    def was_deleted(self, name: str) -> bool:
        """Whether an account of this name was ended and its home left. Raises as `claim`."""
        return (name, DELETED) in self._read().values()

    def _read(self) -> dict[int, tuple[str, str]]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        entries = {}
        for number, line in enumerate(lines, 1):
            uid, _, rest = line.partition(":")
            name, colon, state = rest.partition(":")
            if not (uid.isdecimal() and colon):
                raise ValueError(f"{self._path}:{number}: expected uid:name:state")
            entries[int(uid)] = (name, state)
        return entries

    def _write(self, entries: dict[int, tuple[str, str]]) -> None:
        text = "".join(f"{uid}:{name}:{state}\n" for uid, (name, state) in entries.items())
        self._installer.file(self._path, text.encode(), 0o644)
