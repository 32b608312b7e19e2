"""RIGHTS.toml read into facts: who may touch what."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from services.admin.places import REPOSITORY


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One block of RIGHTS.toml; the fields are explained there."""

    name: str
    program: str | None
    uid: int
    gid: int
    capabilities: tuple[str, ...]
    library: tuple[str, ...]
    packages: tuple[str, ...]
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    respond: bool
    volumes: dict[str, str]
    networks: tuple[str, ...]
    stock: bool
    part_of: str | None
    credential_uid: int

    @property
    def inbox(self) -> str:
        """The prefix of this role's reply subjects, which nobody else may listen to."""
        return f"_INBOX_{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """All of RIGHTS.toml."""

    roles: dict[str, Role]
    volumes: dict[str, str]
    alias_uid: int

    @property
    def bus_users(self) -> list[Role]:
        """The roles that log in to the bus."""
        return [role for role in self.roles.values() if not role.stock]


_FIELDS = {field.name for field in fields(Role)} - {"name"}


def read_rights(path: Path = REPOSITORY / "RIGHTS.toml") -> Rights:
    """Raises OSError, tomllib.TOMLDecodeError, and ValueError or KeyError for a block that is not as explained."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    roles = {name: _role(name, block) for name, block in table["role"].items()}
    return Rights(roles=roles, volumes=table["volumes"], alias_uid=table["accounts"]["alias"])


def _role(name: str, block: dict[str, object]) -> Role:
    unknown = set(block) - _FIELDS
    if unknown:
        raise ValueError(f"RIGHTS.toml: role {name}: unknown {', '.join(sorted(unknown))}")
    filled = {"library": (), "packages": (), "publish": (), "subscribe": (), **block}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in filled.items()}
    values.setdefault("respond", False)
    values.setdefault("stock", False)
    values.setdefault("part_of", None)
    values.setdefault("program", None)
    values.setdefault("credential_uid", values["uid"])
    return Role(name=name, **values)  # type: ignore[arg-type]
