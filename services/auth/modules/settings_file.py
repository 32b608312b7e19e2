"""Courier's authldaprc and authpgsqlrc: a name and its value in each line. They hold passwords, and lie where auth and
admin alone can read them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from services.auth.modules.module import ModuleError, NotSetUp


class SettingsFile:
    """One such file. A value is never told."""

    def __init__(self, path: Path, known: Collection[str], of_others: Collection[str] = ()) -> None:
        """known: the names that count; of_others: names that Courier has, and that decide nothing here.

        Raises NotSetUp where there is no file, ModuleError for a line that cannot be meant, OSError."""
        self.path = path
        self._values = _parse(path, known, of_others)

    def get(self, name: str, default: str = "") -> str:
        """The value, or what stands for it."""
        return self._values.get(name) or default

    def need(self, name: str) -> str:
        """The value. Raises ModuleError where there is none."""
        if not self.get(name):
            raise ModuleError(f"{self.path}: {name} is missing")
        return self._values[name]

    def number(self, name: str, default: int) -> int:
        """The value in digits. Raises ModuleError."""
        text = self.get(name, str(default))
        if not text.isdecimal():
            raise ModuleError(f"{self.path}: {name}: expected a number")
        return int(text)

    def one_of(self, name: str, choices: Mapping[str, bool], default: str) -> bool:
        """What the value chooses. Raises ModuleError."""
        text = self.get(name, default)
        if text not in choices:
            raise ModuleError(f"{self.path}: {name}: expected one of {', '.join(choices)}")
        return choices[text]


def _parse(path: Path, known: Collection[str], of_others: Collection[str]) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotSetUp(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModuleError(
            f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}; expected a readable file"
        ) from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *rest = line.split(None, 1)
        if name not in known and name not in of_others:
            raise ModuleError(
                f"{path}:{number}: {name[:40]!r}; expected one of {', '.join(sorted(known))}, and its value"
            )
        found[name] = rest[0].strip() if rest else ""
    return found
