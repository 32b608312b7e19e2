"""Each image holds its role, the library and its own packages, and runs as the role's uid."""

from __future__ import annotations

import re

import pytest

from services.admin.rights import Role
from tests.support.source import RIGHTS, ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
CONTAINERS = {name: role for name, role in RIGHTS.roles.items() if role.part_of is None}
OURS = {name: role for name, role in CONTAINERS.items() if not role.stock}
each_image = pytest.mark.parametrize("role", OURS.values(), ids=list(OURS))


def stage(name: str) -> list[str]:
    """The instructions of one target."""
    parts = re.split(r"^FROM ", TEXT, flags=re.MULTILINE)
    (found,) = [part for part in parts if re.match(rf"\S+ AS {re.escape(name)}\s*$", part.split("\n")[0])]
    return [line.strip() for line in found.split("\n") if line.strip() and not line.startswith("#")]


def base(name: str) -> str:
    """What a target stands on: another target, or a base image."""
    (found,) = re.findall(rf"^FROM (\S+) AS {re.escape(name)}\s*$", TEXT, flags=re.MULTILINE)
    return str(found)


def copied_code(name: str) -> set[str]:
    """Our code in an image, that of the targets below it included."""
    words = {word for line in values(name, "COPY") if "--from" not in line for word in line.split()[:-1]}
    code = {word for word in words if word.startswith("services/") or word.endswith(".toml")}
    below = base(name)
    return code if below.startswith("$") else code | copied_code(below)


def values(name: str, instruction: str) -> list[str]:
    return [line.removeprefix(instruction).strip() for line in stage(name) if line.startswith(f"{instruction} ")]


def acts_as_others(role: Role) -> bool:
    return bool(role.capabilities) and role.uid != 0


@each_image
def test_the_uid_is_the_role_s(role: Role) -> None:
    (user,) = values(role.name, "USER")
    if not acts_as_others(role):
        assert user == f"{role.uid}:{role.gid}"
        return
    # It starts as uid 0 with its few capabilities and takes its own uid before the first line of Python.
    assert user == "0:0"
    (entry,) = values(role.name, "ENTRYPOINT")
    kept = {f"+{name.lower()}" for name in role.capabilities}
    (inherited,) = re.findall(r'"--inh-caps=([^"]*)"', entry)
    (ambient,) = re.findall(r'"--ambient-caps=([^"]*)"', entry)
    assert f'"--reuid={role.uid}", "--regid={role.gid}", "--clear-groups"' in entry
    assert set(inherited.split(",")) == {"-all", *kept}
    assert set(ambient.split(",")) - {"-all"} == kept


@each_image
def test_the_image_holds_its_role_and_no_other(role: Role) -> None:
    folder, *half = str(role.program).removeprefix("services.").split(".")
    # The two deliveries share a folder: each has its own half and the files beside them.
    own = {f"services/{folder}/*.py", f"services/{folder}/{half[0]}"} if half else {f"services/{folder}"}
    more = {"services/bus", "RIGHTS.toml"} if role.name == "admin" else set()
    carried = {room.replace(".", "/") for room in RIGHTS.carried_rooms(role.name)}
    assert copied_code(role.name) == own | more | carried


@each_image
def test_the_image_has_its_own_packages(role: Role) -> None:
    assert f"--from={role.name}-packages /opt/venv /opt/venv" in values(role.name, "COPY")
    assert f"lock/{role.name}.txt lock.txt" in values(f"{role.name}-packages", "COPY")


@each_image
def test_the_image_starts_the_role_s_program(role: Role) -> None:
    assert values(role.name, "CMD") == [f'["python", "-P", "-s", "-m", "{role.program}"]']


def test_the_stock_servers_run_no_code_of_ours() -> None:
    for role in CONTAINERS.values():
        if role.stock:
            assert not any(".py" in line or "qmail" in line.split() for line in values(role.name, "COPY"))
    assert values("bus", "USER") == [f"{RIGHTS.roles['bus'].uid}:{RIGHTS.roles['bus'].gid}"]


def test_whatever_installs_packages_stands_on_the_system_that_misses_no_list() -> None:
    names = re.findall(r"^FROM \S+ AS (\S+)", TEXT, re.MULTILINE)
    installing = [name for name in names if "apt-get" in str(stage(name))]
    assert len(installing) > 3
    for name in installing:
        below = base(name)
        while below not in ("system", "${DEBIAN_IMAGE}"):
            below = base(below)
        assert below == "system", name
    assert 'APT::Update::Error-Mode "any"' in str(stage("system"))
