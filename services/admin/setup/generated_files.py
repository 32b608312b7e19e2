"""Which files, made from ADDRESS, are still as they were made: they are made anew for another ADDRESS, edited ones not.

`.made` beside the files holds a line for each making, `<SHA-256> <address> <host> <file name>`. It is written before
the files are, so a start that is broken off between the two leaves nothing unknown. It begins with a comment, which the
first release takes for a bad line: it reads this file before it writes, and ends (services/admin/setup/release.py).
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from services.admin.install import Installer

MADE = ".made"
HEADER = "# made by release 2 or newer: the first release does not start on it any more"


class Origin(NamedTuple):
    """What a file was made from."""

    address: str
    host: str


class _Line(NamedTuple):
    checksum: str
    origin: Origin
    name: str


@dataclass(frozen=True, slots=True)
class GeneratedFiles:
    """The memory of one directory."""

    directory: Path

    def origin(self, name: str) -> Origin | None:
        """What it is made from as it stands; None where it is not there, or edited. Raises OSError."""
        try:
            checksum = _checksum((self.directory / name).read_bytes())
        except FileNotFoundError:
            return None
        return next((line.origin for line in self._lines() if (line.name, line.checksum) == (name, checksum)), None)

    def last_origin(self, name: str) -> Origin | None:
        """What it was last made from, edited since or not. Raises OSError."""
        return next((line.origin for line in reversed(self._lines()) if line.name == name), None)

    def make(self, texts: Mapping[str, str], origin: Origin, installer: Installer) -> None:
        """Make those that are missing. Raises OSError."""
        missing = {name: text for name, text in texts.items() if not (self.directory / name).exists()}
        self._write(missing, origin, installer)

    def renew(self, texts: Mapping[str, str], origin: Origin, installer: Installer) -> None:
        """Make them all anew where the address is another and none was edited. Raises OSError."""
        found = [self.origin(name) for name in texts]
        if None not in found and any(each and each.address != origin.address for each in found):
            self._write(texts, origin, installer)

    def remake(self, texts: Mapping[str, str], origin: Origin, installer: Installer, varying: re.Pattern[str]) -> bool:
        """Make them all anew where they would be others but for what is `varying`; False where one was edited.

        Raises OSError."""
        old = {name: self._text(name) for name in texts}
        same = all(varying.sub("", old[name] or "") == varying.sub("", text) for name, text in texts.items())
        if any(text is not None and self.origin(name) is None for name, text in old.items()):
            return same
        if not same:
            self._write(texts, origin, installer)
        return True

    def _text(self, name: str) -> str | None:
        path = self.directory / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else None

    def left_behind(self, address: str) -> list[Path]:
        """Edited files, last made from another address, that do not name this one. Raises OSError."""
        names = dict.fromkeys(line.name for line in self._lines())
        return [self.directory / name for name in names if self._is_left_behind(name, address)]

    def _is_left_behind(self, name: str, address: str) -> bool:
        last, path = self.last_origin(name), self.directory / name
        if not path.exists() or last is None or last.address == address or self.origin(name) is not None:
            return False
        backwards = ".".join(reversed(address.split(".")))
        text = path.read_text(encoding="utf-8", errors="replace")
        return not any(re.search(rf"(?<![\d.]){re.escape(written)}(?!\.?\d)", text) for written in (address, backwards))

    def keep_first_release_out(self, installer: Installer) -> None:
        """Where there is a memory already, begin it with the comment. Raises OSError."""
        path = self.directory / MADE
        if path.exists() and not path.read_text("ascii").startswith(HEADER):
            self._remember((), installer)

    def _write(self, texts: Mapping[str, str], origin: Origin, installer: Installer) -> None:
        contents = {name: text.encode("ascii") for name, text in texts.items()}
        new = [_Line(_checksum(content), origin, name) for name, content in contents.items()]
        self._remember(new, installer)
        for name, content in contents.items():
            installer.file(self.directory / name, content, 0o644)

    def _remember(self, new: Iterable[_Line], installer: Installer) -> None:
        lines = self._lines()
        for line in new:
            lines = [*(each for each in lines if each != line), line]
        text = "".join(f"{checksum} {' '.join(origin)} {name}\n" for checksum, origin, name in lines)
        installer.file(self.directory / MADE, f"{HEADER}\n{text}".encode("ascii"), 0o644)

    def _lines(self) -> list[_Line]:
        path = self.directory / MADE
        if not path.exists():
            return []
        numbered = enumerate(path.read_text("ascii", errors="replace").splitlines(), 1)
        found = [_parse(line, number, path) for number, line in numbered if not line.startswith("#")]
        return [line for line in found if line is not None]


def _parse(text: str, number: int, path: Path) -> _Line | None:
    """None, and a line on standard error, for anything else: what is not known to be as it was made is left alone."""
    words = text.split(" ")
    if len(words) != 4:
        said = f"{path}:{number}: {text[:80]!r}; expected a checksum, an address, a host and a file name"
        print(f"admin: {said}; the file that it tells of counts as edited", file=sys.stderr, flush=True)
        return None
    checksum, address, host, name = words
    return _Line(checksum, Origin(address, host), name)


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
