"""A deployment in another place than users/assign says: a directory of `make run` that was moved, copied or restored.

users/assign holds absolute homes. Where they still said the old place, mail would go into the homes of another
deployment, which may be running. The entry for all other names says where the file was written: alias/ lies beside
home/ below QMAIL_DIR, or is the container's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qmail.control.paths import read_paths

_CONTAINER = read_paths({})
_HOME = 4  # the field of a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """Old places and new ones; whatever else a line says was put there by hand, and stays."""

    old_alias: Path
    alias: Path
    old_home: Path
    home: Path

    def line(self, line: str) -> str:
        """The line with its home where it is now."""
        fields = line.split(":")
        was = Path(fields[_HOME])
        if was == self.old_alias:
            fields[_HOME] = str(self.alias)
        elif self.old_home in was.parents:
            fields[_HOME] = str(self.home / was.relative_to(self.old_home))
        return ":".join(fields)

    def __str__(self) -> str:
        return f"users/assign had the accounts' homes in {self.old_home}, and has them in {self.home} from now on"


def find_relocation(lines: Iterable[str], alias: Path, home: Path) -> Relocation | None:
    """What has to change of these lines for a deployment with these places; None where they fit.

    An alias/ elsewhere without an account's home beside it is somebody's own choice."""
    fields = [line.split(":") for line in lines]
    old_alias = next((Path(each[_HOME]) for each in fields if each[:2] == ["+", "alias"]), alias)
    old_home = _CONTAINER.home if old_alias == _CONTAINER.alias else old_alias.parent / "home"
    ours = old_alias.name == _CONTAINER.alias.name and any(old_home in Path(each[_HOME]).parents for each in fields)
    if old_alias == alias or not ours:
        return None
    return Relocation(old_alias=old_alias, alias=alias, old_home=old_home, home=home)
