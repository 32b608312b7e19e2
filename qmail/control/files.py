"""The control directory of one deployment: reads the files of qmail.control.table as they are now (qmail-control(5)).

A file is read again only when stat(2) says that it changed, so asking for each session is cheap. A file that became
bad leaves the value that was read before it in force, and an alert stands until it is mended.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from qmail.control.kinds import Fault
from qmail.control.settings import SettingsError
from qmail.control.table import EXTENSIONS, ControlFile, files_of
from qmail.log.notices import Notices

T = TypeVar("T")

# A control file beyond this is a mistake, not a configuration; morercpthosts-sized lists still fit.
MAX_CONTROL_BYTES = 64 * 1024 * 1024

#: What changes with a file: time, size and inode; None where there is no file.
Stamp: TypeAlias = "tuple[int, int, int] | None"


class ControlError(SettingsError):
    """A control file cannot be read or understood; the text names file, line and what was expected."""


class BadControlFile(ControlError):
    """It can be read, but not understood. `instead`: the value to go on with, None: that of before."""

    def __init__(self, text: str, instead: Any = None) -> None:
        super().__init__(text)
        self.instead = instead


@dataclass(frozen=True, slots=True)
class _Held:
    """What was read of one file; `value` None: it says nothing; `faulty`: the value is of before it became bad."""

    stamp: Stamp
    exact: bool
    value: Any
    faulty: bool = False


class Control:
    """Reads by rows of the table. `notices` is told what cannot be read or understood, and when it is mended."""

    def __init__(self, directory: Path, notices: Notices | None = None) -> None:
        self.directory = directory
        self._directory = os.fspath(directory)
        self._notices = notices
        self._held: dict[str, _Held] = {}
        self._alerts: set[str] = set()

    def get(self, file: ControlFile[T]) -> T:
        """The value in force: of the file, of what stands in for it, or the default.

        Raises ControlError where it cannot be read, was bad from the first, or is missing and required."""
        value = self.own(file)
        if value is None and file.stands_in is not None:
            value = self.own(file.stands_in)
        if value is not None:
            return value
        for needed in (file, file.stands_in):
            if needed is not None and needed.required:
                raise self._alert(needed, self._missing(needed))
        return file.as_qmail if file.as_qmail is not None and self.exact() else file.default

    def own(self, file: ControlFile[T]) -> T | None:
        """What the file itself says; None without it, or where it says nothing. Raises ControlError."""
        exact = file.of_qmail and self.exact()
        stamp = self._stamp(file)
        held = self._held.get(file.name)
        if held is None or held.stamp != stamp or held.exact != exact:
            held = self._held[file.name] = self._read(file, stamp, exact=exact, before=held)
        if file.name in self._alerts and not held.faulty and not (file.required and held.value is None):
            self._mended(file)
        value: T | None = held.value
        return value

    def exact(self) -> bool:
        """control/extensions is `none`: qmail's files are read to qmail's letter. Raises ControlError."""
        return bool(self.own(EXTENSIONS))

    def stamps(self, files: Iterable[ControlFile[Any]]) -> tuple[Stamp, ...]:
        """What changes where one of these files does. Raises ControlError."""
        # Most are not there, and that is dear to ask of each.
        try:
            there = set(os.listdir(self._directory))
        except OSError as error:
            raise ControlError(f"{self.directory}: {error.strerror}; expected a readable directory") from error
        return tuple([self._stamp(file) if file.name in there else None for file in files])

    def check(self, role: str) -> None:
        """Before a role starts: every file that it reads. Raises ControlError, all faults at once."""
        if faults := self.faults(files_of(role)):
            raise ControlError("\n".join(faults))
        self.remember(role)

    def remember(self, role: str) -> None:
        """Read what the role reads, so that a file that becomes bad before it is asked for has a value of before."""
        for file in files_of(role):
            with contextlib.suppress(ControlError):
                self.own(file)

    def faults(self, files: Iterable[ControlFile[Any]]) -> list[str]:
        """What is wrong with these files as they are now, a line each: file, line, what was expected. No value comes
        into force by it."""
        exact = self._is_exact_now()
        return [text for file in files if (text := self._fault(file, exact=exact and file.of_qmail)) is not None]

    def _is_exact_now(self) -> bool:
        try:
            return bool(self._parse(EXTENSIONS, exact=False))
        except ControlError:
            return False

    def _fault(self, file: ControlFile[Any], *, exact: bool) -> str | None:
        try:
            value = self._parse(file, exact=exact)
        except ControlError as error:
            self._alert(file, str(error))
            return str(error)
        if value is None and file.required:
            return str(self._alert(file, self._missing(file)))
        self._mended(file)
        return None

    def _read(self, file: ControlFile[T], stamp: Stamp, *, exact: bool, before: _Held | None) -> _Held:
        try:
            value = self._parse(file, exact=exact)
        except BadControlFile as error:
            if before is None:
                raise self._alert(file, str(error)) from error
            if error.instead is not None:
                self._alert(file, f"{error}; what needs that line waits")
                return _Held(stamp, exact, error.instead, faulty=True)
            self._alert(file, f"{error}; what was read before stays in force")
            return _Held(stamp, exact, before.value, faulty=True)
        return _Held(stamp, exact, value)

    def _parse(self, file: ControlFile[T], *, exact: bool) -> T | None:
        content = self._content(file)
        value = None if content is None else file.parse(content, exact=exact)
        if isinstance(value, Fault):
            raise BadControlFile(f"{self.directory / file.name}:{value}", value.instead)
        return value

    def _stamp(self, file: ControlFile[Any]) -> Stamp:
        try:
            st = os.stat(f"{self._directory}/{file.name}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(file, error) from error
        return st.st_mtime_ns, st.st_size, st.st_ino

    def _content(self, file: ControlFile[Any]) -> bytes | None:
        path = self.directory / file.name
        try:
            with path.open("rb") as opened:
                content = opened.read(MAX_CONTROL_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(file, error) from error
        if len(content) > MAX_CONTROL_BYTES:
            raise BadControlFile(f"{path}: expected at most {MAX_CONTROL_BYTES} bytes, found more")
        return content

    def _unreadable(self, file: ControlFile[Any], error: OSError) -> ControlError:
        return self._alert(file, f"{self.directory / file.name}: {error.strerror}; expected a readable file")

    def _missing(self, file: ControlFile[Any]) -> str:
        expected = getattr(file.kind, "expected", "it")
        return f"{self.directory / file.name}: missing; expected {expected}"

    def _alert(self, file: ControlFile[Any], text: str) -> ControlError:
        self._alerts.add(file.name)
        if self._notices is not None:
            self._notices.stands(f"control/{file.name}", text)
        return ControlError(text)

    def _mended(self, file: ControlFile[Any]) -> None:
        self._alerts.discard(file.name)
        if self._notices is not None:
            self._notices.mended(f"control/{file.name}")
