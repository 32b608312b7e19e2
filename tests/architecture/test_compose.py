"""compose.yaml gives each container what RIGHTS.toml says: networks, volumes, capabilities, nothing writable else."""

from __future__ import annotations

import re
from typing import Any

import dns.zone
import pytest
import yaml

from services.admin.commands.rules_check import DEFAULT_SUBNET, smtpd_networks
from services.admin.rights import Role
from supervise.programs import BUS_ENVIRONMENT
from tests.support.source import RIGHTS, ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
CONTAINERS = {name: role for name, role in RIGHTS.roles.items() if role.part_of is None}
each_container = pytest.mark.parametrize("role", CONTAINERS.values(), ids=list(CONTAINERS))


def service(role: Role) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][role.name]
    return found


def mounts(role: Role) -> dict[str, tuple[str, str]]:
    """Volume -> (place, mode)."""
    found = {}
    for entry in service(role).get("volumes", []):
        volume, place, *mode = entry.split(":")
        found[volume] = (place, mode[0] if mode else "rw")
    return found


def test_the_containers_are_the_roles() -> None:
    assert set(COMPOSE["services"]) == set(CONTAINERS)


@each_container
def test_networks(role: Role) -> None:
    assert set(service(role)["networks"]) == set(role.networks)


@each_container
def test_volumes(role: Role) -> None:
    assert mounts(role) == RIGHTS.mounts(role.name)


def test_nobody_but_admin_sees_another_s_credentials() -> None:
    for role in CONTAINERS.values():
        seen = {volume for volume in mounts(role) if volume.startswith("credentials")}
        assert role.name == "admin" or seen <= {f"credentials-{role.name}"}, role.name


@each_container
def test_capabilities(role: Role) -> None:
    assert service(role)["cap_drop"] == ["ALL"]
    assert set(service(role).get("cap_add", [])) == {*role.capabilities, *role.init}


@each_container
def test_init_can_pass_on_a_signal(role: Role) -> None:
    # It is uid 0 where the role takes its own uid only after the start (Dockerfile).
    takes_another_uid = bool(role.capabilities) and role.uid != 0 and not role.stock
    assert ("KILL" in service(role).get("cap_add", [])) == takes_another_uid


@each_container
def test_nothing_else_can_be_written_or_gained(role: Role) -> None:
    settings = service(role)
    assert settings["read_only"] is True
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["init"] is True
    assert settings["restart"] == "unless-stopped"
    assert settings["mem_limit"] and settings["pids_limit"] and settings["healthcheck"]["test"]
    assert {entry.split(":")[0] for entry in settings["tmpfs"]} <= {"/tmp", "/run/qmail"}
    for forbidden in ("privileged", "network_mode", "pid", "ipc", "devices", "container_name", "user"):
        assert forbidden not in settings


@each_container
def test_ports_are_published_at_the_edge_alone(role: Role) -> None:
    assert not service(role).get("ports") or "edge" in role.networks


@each_container
def test_no_secret_is_in_the_environment(role: Role) -> None:
    names = set(service(role).get("environment") or {})
    assert names <= {
        "ADDRESS",
        "SUBNET",
        "DNS_SERVER",
        "LISTEN_NETWORK",
        "IDENTITY",
        "ME",
        "ADMIN_USER",
        "LOG_FORMAT",
        "PROCESSES",
        "QUEUE_BYTES",
        *BUS_ENVIRONMENT,
    }


@each_container
def test_doors_have_a_minute_and_deliveries_five(role: Role) -> None:
    expected = "5m" if role.name.startswith("delivery-") else "1m"
    assert service(role)["stop_grace_period"] == expected


def test_the_networks_between_the_roles_have_no_way_out() -> None:
    networks = COMPOSE["networks"]
    assert set(networks) == {"admin", "edge", "bus", "out", "directory"}
    assert [name for name in CONTAINERS if "directory" in RIGHTS.roles[name].networks] == ["auth"]
    assert (
        networks["directory"]["internal"] is True
        and networks["admin"]["internal"] is True
        and networks["bus"]["internal"] is True
    )
    assert networks["edge"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"


@each_container
def test_who_is_on_several_networks_listens_on_one_of_them(role: Role) -> None:
    """That of `listens` in RIGHTS.toml: Docker gives every network's address to every listener."""
    if role.stock or not role.listens:
        return
    (network,) = role.listens
    listening = service(role)["environment"]["LISTEN_NETWORK"]
    assert listening == COMPOSE["networks"][network]["ipam"]["config"][0]["subnet"]


def test_the_doors_are_reached_at_the_edge_and_the_queue_s_http_by_admin_alone() -> None:
    assert [name for name in CONTAINERS if name != "queue" and RIGHTS.reached(name, "queue")] == ["admin"]
    for door in ("smtpd", "pop3", "imap"):
        who = {name for name in CONTAINERS if RIGHTS.reached(name, door)}
        assert who == {"smtpd", "pop3", "imap", "admin"}


def test_the_name_server_is_asked_for_what_every_deployment_has() -> None:
    name = COMPOSE["services"]["dns"]["healthcheck"]["test"][2]
    served = re.findall(r"^ +file (\S+) (\S+)$", (ROOT / "services/dns/Corefile").read_text(), re.MULTILINE)
    (file,) = [path for path, zone in served if zone == name]
    zone = dns.zone.from_text((ROOT / f"services/dns{file}").read_text(), origin=f"{name}.")
    assert zone.find_rdataset("@", "A")


def test_every_volume_is_somebody_s() -> None:
    assert set(COMPOSE["volumes"]) == {volume for name in CONTAINERS for volume in RIGHTS.mounts(name)}


def test_the_bus_gives_memory_back_before_the_engine_takes_it() -> None:
    settings = COMPOSE["services"]["bus"]
    assert settings["environment"] == BUS_ENVIRONMENT
    limit, most = BUS_ENVIRONMENT["GOMEMLIMIT"], settings["mem_limit"]
    assert limit.endswith("MiB") and most.endswith("g")
    assert int(limit.removesuffix("MiB")) <= int(most.removesuffix("g")) * 1024 * 4 // 5


def test_the_bus_s_health_check_can_leave_its_marks() -> None:
    bus = RIGHTS.roles["bus"]
    # By uid, because the engine forgets the mode when it starts a container again.
    assert COMPOSE["services"]["bus"]["tmpfs"] == [f"/tmp:uid={bus.uid},gid={bus.gid},size=1m"]


def test_admin_knows_the_networks_of_smtpd() -> None:
    made = {name: COMPOSE["networks"][name]["ipam"]["config"][0]["subnet"] for name in RIGHTS.roles["smtpd"].networks}
    subnets = [made[name].replace("${SUBNET:-172.29.25}", "10.1.2") for name in RIGHTS.roles["smtpd"].networks]
    assert [str(network) for network in smtpd_networks({"SUBNET": "10.1.2"})] == subnets
    assert DEFAULT_SUBNET == "172.29.25"
    assert COMPOSE["services"]["admin"]["environment"]["SUBNET"] == "${SUBNET:-172.29.25}"


PUBLISHED = {"SMTP": 25, "SUBMISSION": 587, "SUBMISSIONS": 465, "POP3": 110, "POP3S": 995, "IMAP": 143, "IMAPS": 993}


def test_every_published_port_has_a_setting_and_its_old_place_without_it() -> None:
    ports = [entry for name in ("smtpd", "pop3", "imap") for entry in COMPOSE["services"][name]["ports"]]
    assert ports == [f"${{{name}_PUBLISH:-${{ADDRESS:-127.0.0.1}}:{port}}}:{port}" for name, port in PUBLISHED.items()]
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert all(f"{name}_PUBLISH" in text for name in (*PUBLISHED, "DNS"))


def test_port_53_can_be_left_to_others() -> None:
    dns = COMPOSE["services"]["dns"]
    assert "ports" not in dns and dns["extends"] == {"file": "services/dns/${DNS:-published}.yaml", "service": "dns"}
    published, unpublished = (
        yaml.safe_load((ROOT / "services" / "dns" / f"{name}.yaml").read_text(encoding="utf-8"))["services"]["dns"]
        for name in ("published", "unpublished")
    )
    here = "${DNS_PUBLISH:-${ADDRESS:-127.0.0.1}:53}"
    assert published == {"ports": [f"{here}:5353/udp", f"{here}:5353/tcp"]}
    assert unpublished == {}
