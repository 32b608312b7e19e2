"""Control files: one value or one list a file, read as qmail's control.c reads them (qmail-control(5)).

A file is read again only when stat(2) says that it changed, so asking for each session is cheap.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# A control file beyond this is a mistake, not a configuration; morercpthosts-sized lists still fit.
MAX_CONTROL_BYTES = 64 * 1024 * 1024
# Of a number: whatever counts bytes, seconds or connections fits.
MAX_DIGITS = 18


class ControlError(Exception):
    """A control file cannot be read or understood; the text names file, line and what was expected."""


@dataclass(slots=True)
class _Cached:
    stamp: tuple[int, int, int]
    content: bytes


class Control:
    """The control directory of one deployment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._cache: dict[str, _Cached] = {}

    def content(self, name: str) -> bytes | None:
        """The whole file, None where it does not exist. Raises ControlError where it cannot be read."""
        path = self.directory / name
        try:
            st = os.stat(path)
            stamp = (st.st_mtime_ns, st.st_size, st.st_ino)
            cached = self._cache.get(name)
            if cached is not None and cached.stamp == stamp:
                return cached.content
            if st.st_size > MAX_CONTROL_BYTES:
                raise ControlError(f"{path}: {st.st_size} bytes; expected at most {MAX_CONTROL_BYTES}")
            content = path.read_bytes()
        except FileNotFoundError:
            self._cache.pop(name, None)
            return None
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror}; expected a readable file") from error
        self._cache[name] = _Cached(stamp, content)
        return content

    def line(self, name: str) -> bytes | None:
        """The first line without trailing blanks and tabs (control_readline); None without the file."""
        content = self.content(name)
        return None if content is None else content.split(b"\n", 1)[0].rstrip(b" \t\n")

    def line_or_me(self, name: str, default: bytes | None = None) -> bytes:
        """The first line, else `default`, else control/me (control_rldef).

        Raises ControlError where all three are missing."""
        line = self.line(name)
        if line is None:
            line = default if default is not None else self.line("me")
        if line is None:
            raise ControlError(f"{self.directory / 'me'}: missing; expected this host's name, as in mail.xeris.com")
        return line

    def exact(self) -> bool:
        """Whether everything is to be as qmail 1.03 has it: control/extensions is `none`. Raises ControlError."""
        return self.line("extensions") == b"none"

    def number(self, name: str, default: int) -> int:
        """The number that the first line begins with; `default` where there is none (control_readint).

        Raises ControlError, also for a number of more than MAX_DIGITS digits."""
        line = self.line(name)
        if line is None:
            return default
        digits = len(line) - len(line.lstrip(b"0123456789"))
        if digits > MAX_DIGITS:
            raise ControlError(f"{self.directory / name}: {digits} digits; expected a number of at most {MAX_DIGITS}")
        return int(line[:digits]) if digits else default

    def lines(self, name: str) -> list[bytes] | None:
        """All lines but comments and empty ones, trailing blanks cut (control_readfile); None: no file."""
        content = self.content(name)
        if content is None:
            return None
        stripped = (line.rstrip(b" \t") for line in content.split(b"\n"))
        return [line for line in stripped if line and not line.startswith(b"#")]
