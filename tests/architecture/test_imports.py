"""Every role imports what RIGHTS.toml says, no more and no less."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from services.admin.rights import Commands
from tests.support.source import (
    OURS,
    RIGHTS,
    ROOT,
    file_of,
    files_of,
    imports_of,
    library_in,
    library_of,
    packages_in,
    packages_of,
    room,
    shared_rooms,
    with_library,
)

# Import name -> name in the index, where they differ.
DISTRIBUTIONS = {"nats": "nats-py", "argon2": "argon2-cffi", "pam": "python-pam", "dns": "dnspython"}


@pytest.mark.parametrize("role", OURS)
def test_a_role_has_code(role: str) -> None:
    assert files_of(role), f"{room(role)} is empty"


@pytest.mark.parametrize("role", OURS)
def test_a_role_imports_no_other(role: str) -> None:
    allowed = shared_rooms(role)
    for path in files_of(role):
        for name in imports_of(path):
            if name.split(".")[0] == "services":
                inside = any(name == one or name.startswith(f"{one}.") for one in allowed)
                assert inside, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize(
    ("one", "other"), [("delivery-local", "delivery-remote"), ("delivery-remote", "delivery-local")]
)
def test_the_two_deliveries_do_not_know_each_other(one: str, other: str) -> None:
    for path in files_of(one):
        assert not any(name.startswith(room(other)) for name in imports_of(path)), path


@pytest.mark.parametrize("commands", RIGHTS.commands.values(), ids=list(RIGHTS.commands))
def test_commands_are_of_no_role(commands: Commands) -> None:
    files = sorted((ROOT / commands.room.replace(".", "/")).rglob("*.py"))
    for path in files:
        of_services = {name for name in imports_of(path) if name.split(".")[0] == "services"}
        assert all(name == commands.room or name.startswith(f"{commands.room}.") for name in of_services), path
    assert sorted(library_in(files)) == sorted(commands.library), f"[commands.{commands.name}] library in RIGHTS.toml"
    assert packages_in(files) == set(), "whoever carries them need not carry packages for them"
    assert set(commands.carried_by) <= set(OURS)


@pytest.mark.parametrize("role", OURS)
def test_the_library_that_a_role_uses_is_what_rights_say(role: str) -> None:
    assert sorted(library_of(role)) == sorted(OURS[role].library), f"[role.{role}] library in RIGHTS.toml"


@pytest.mark.parametrize("role", OURS)
def test_the_packages_that_a_role_needs_are_what_rights_say(role: str) -> None:
    assert sorted(packages_of(role)) == sorted(OURS[role].packages), f"[role.{role}] packages in RIGHTS.toml"


@pytest.mark.parametrize("role", [name for name in OURS if OURS[name].part_of is None])
def test_the_locked_packages_of_a_role_hold_what_it_needs(role: str) -> None:
    needed = set(OURS[role].packages)
    for part in OURS.values():
        if part.part_of == role:
            needed |= set(part.packages)
    text = (ROOT / "lock" / f"{role}.txt").read_text(encoding="utf-8")
    locked = {
        line.split("==")[0].split("[")[0].lower() for line in text.splitlines() if "==" in line and line[0].isalnum()
    }
    assert {DISTRIBUTIONS.get(name, name) for name in needed} <= locked


def test_only_one_module_knows_the_bus_server_s_client() -> None:
    knowing = [p for p in (ROOT / "qmail").rglob("*.py") if any(n.split(".")[0] == "nats" for n in imports_of(p))]
    assert knowing == [ROOT / "qmail" / "bus" / "jetstream.py"]
    for role in OURS:
        assert not [p for p in files_of(role) if any(n.split(".")[0] == "nats" for n in imports_of(p))]


def test_the_library_knows_no_role() -> None:
    for path in (ROOT / "qmail").rglob("*.py"):
        assert not any(name.split(".")[0] == "services" for name in imports_of(path)), path


# From the bottom up: a room knows its own floor and those below.
FLOORS = ("message", "log", "control", "accounts", "bus", "queue", "maildir", "role", "door")


def test_the_library_has_these_floors() -> None:
    assert {path.name for path in (ROOT / "qmail").iterdir() if path.is_dir() and path.name != "__pycache__"} == set(
        FLOORS
    )
    assert [path.name for path in (ROOT / "qmail").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("floor", FLOORS)
def test_no_room_of_the_library_knows_a_floor_above(floor: str) -> None:
    below = {f"qmail.{name}" for name in FLOORS[: FLOORS.index(floor) + 1]}
    for path in (ROOT / "qmail" / floor).rglob("*.py"):
        for name in imports_of(path):
            if name.startswith("qmail."):
                assert ".".join(name.split(".")[:2]) in below, f"{path.relative_to(ROOT)} imports {name}"


def test_every_room_of_the_library_is_in_two_containers() -> None:
    """For what another room of the library imports counts who loads that one."""
    used: dict[Path, set[str]] = {}
    for role in OURS:
        for path in with_library(files_of(role)):
            used.setdefault(path, set()).add(OURS[role].part_of or role)
    for commands in RIGHTS.commands.values():
        for path in with_library((ROOT / commands.room.replace(".", "/")).rglob("*.py")):
            used.setdefault(path, set()).update(commands.carried_by)
    for path in (ROOT / "qmail").rglob("*.py"):
        if path.stem != "__init__":
            assert len(used.get(path, ())) >= 2, f"{path} is used by {used.get(path, 'nobody')}: it belongs there"


def test_no_role_knows_make_run() -> None:
    """It starts them, and is in none of their images."""
    for path in [*(ROOT / "qmail").rglob("*.py"), *(ROOT / "services").rglob("*.py")]:
        assert not any(name.split(".")[0] == "supervise" for name in imports_of(path)), path
    assert "supervise" not in (ROOT / "Dockerfile").read_text() + (ROOT / ".dockerignore").read_text()


def test_every_program_is_there() -> None:
    for role in OURS.values():
        if role.program is not None:
            assert file_of(role.program).with_name("__main__.py").exists(), role.program


def test_there_is_no_python_package_that_hides_a_library() -> None:
    assert not (ROOT / "services" / "__init__.py").exists()
    assert not list((ROOT / "services" / "dns").glob("*.py"))


def test_the_project_names_every_role_s_packages() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {name for name, role in OURS.items() if role.part_of is None} <= set(groups)
