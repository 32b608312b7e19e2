"""RIGHTS.toml read into facts: who may touch what."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from services.admin.directories import REPOSITORY

# Of these there is a volume a role: whoever can become another uid still finds nobody else's password.
OWN_CREDENTIALS = "credentials"
OTHERS_CREDENTIALS = "others-credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One block of RIGHTS.toml; the fields are explained there."""

    name: str
    program: str | None
    uid: int
    gid: int
    capabilities: tuple[str, ...]
    init: tuple[str, ...]
    library: tuple[str, ...]
    packages: tuple[str, ...]
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    respond: bool
    volumes: dict[str, str]
    networks: tuple[str, ...]
    listens: dict[str, list[int]]
    stock: bool
    part_of: str | None
    credential_uid: int

    @property
    def inbox(self) -> str:
        """The prefix of this role's reply subjects, which nobody else may listen to."""
        return f"_INBOX_{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """One block `commands` of RIGHTS.toml: programs that people start, in the containers of several roles."""

    name: str
    room: str
    carried_by: tuple[str, ...]
    library: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """All of RIGHTS.toml."""

    roles: dict[str, Role]
    commands: dict[str, Commands]
    volumes: dict[str, str]
    alias_uid: int

    @property
    def bus_users(self) -> list[Role]:
        """The roles that log in to the bus."""
        return [role for role in self.roles.values() if not role.stock]

    def carried_rooms(self, role: str) -> tuple[str, ...]:
        """The modules of the commands that the role's container carries."""
        return tuple(commands.room for commands in self.commands.values() if role in commands.carried_by)

    def mounts(self, role: str) -> dict[str, tuple[str, str]]:
        """Volume -> (place, mode) of the role's container, as the engine names them: each role's credentials are a
        volume of its own."""
        parts = [one for one in self.roles.values() if role in (one.name, one.part_of)]
        found: dict[str, tuple[str, str]] = {}
        for volume, mode in ((volume, mode) for part in parts for volume, mode in part.volumes.items()):
            place = self.volumes[volume]
            if volume == OWN_CREDENTIALS:
                found[f"{OWN_CREDENTIALS}-{role}"] = (place, mode)
            elif volume == OTHERS_CREDENTIALS:
                found |= {f"{OWN_CREDENTIALS}-{one}": (f"{place}/{one}", mode) for one in self.owners if one != role}
            else:
                found[volume] = (place, mode)
        return found

    def reached(self, source: str, target: str) -> set[int]:
        """The ports of one container that another one reaches: those on a network that they share."""
        networks = self.roles[source].networks
        return {port for network, ports in self.roles[target].listens.items() if network in networks for port in ports}

    @property
    def owners(self) -> tuple[str, ...]:
        """The containers with credentials."""
        containers = (role for role in self.roles.values() if role.part_of is None)
        return tuple(role.name for role in containers if OWN_CREDENTIALS in role.volumes)


_FIELDS = {field.name for field in fields(Role)} - {"name"}


def read_rights(path: Path = REPOSITORY / "RIGHTS.toml") -> Rights:
    """Raises OSError, tomllib.TOMLDecodeError, and ValueError or KeyError for a block that is not as explained."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    roles = {name: _role(name, block) for name, block in table["role"].items()}
    commands = {name: _commands(name, block) for name, block in table["commands"].items()}
    return Rights(roles=roles, commands=commands, volumes=table["volumes"], alias_uid=table["accounts"]["alias"])


def _commands(name: str, block: dict[str, object]) -> Commands:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in block.items()}
    return Commands(name=name, **values)  # type: ignore[arg-type]


def _role(name: str, block: dict[str, object]) -> Role:
    unknown = set(block) - _FIELDS
    if unknown:
        raise ValueError(f"RIGHTS.toml: role {name}: unknown {', '.join(sorted(unknown))}")
    filled = {"init": (), "library": (), "packages": (), "publish": (), "subscribe": (), **block}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in filled.items()}
    values.setdefault("respond", False)
    values.setdefault("stock", False)
    values.setdefault("part_of", None)
    values.setdefault("program", None)
    values.setdefault("listens", {})
    values.setdefault("credential_uid", values["uid"])
    return Role(name=name, **values)  # type: ignore[arg-type]
