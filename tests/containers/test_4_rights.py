"""What each role cannot reach, tried inside its container."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.admin.rights import read_rights
from tests.support.deployment import Deployment
from tests.support.needs import need

RIGHTS = read_rights().roles
OURS = [name for name, role in RIGHTS.items() if not role.stock and role.part_of is None]
ROLES_OF_OURS = [name for name in OURS if name != "admin"]
needs_outside = pytest.mark.root(reason="only root makes a network namespace")
each_role = pytest.mark.parametrize("name", ROLES_OF_OURS)
CAPABILITIES = {"SETGID": 6, "SETUID": 7, "KILL": 5, "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3}

# The process that does the work: neither the engine's init nor this look at it.
LOOK = r"""
for directory in /proc/[0-9]*; do
    if tr '\0' ' ' <"$directory/cmdline" 2>/dev/null | grep -q '^python .*-m services'; then
        grep -E '^(Uid|Gid|Groups|CapEff|CapBnd|CapAmb|NoNewPrivs):' "$directory/status"
        exit
    fi
done
exit 1
"""


def process(deployment: Deployment, name: str) -> dict[str, list[str]]:
    lines = deployment.run(name, "sh", "-c", LOOK).splitlines()
    return {line.split(":")[0]: line.split(":")[1].split() for line in lines}


def mask(capabilities: tuple[str, ...]) -> int:
    return sum(1 << CAPABILITIES[name] for name in capabilities)


def as_role(deployment: Deployment, name: str, *argv: str) -> str:
    """Run a command with the identity that the role's process has; says what it said, good or bad."""
    role = RIGHTS[name]
    done = deployment.try_run(name, *argv, user=f"{role.uid}:{role.gid}")
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", OURS)
def test_the_process_has_its_uid_and_its_few_capabilities(xeris: Deployment, name: str) -> None:
    role, found = RIGHTS[name], process(xeris, name)
    assert set(found["Uid"]) == {str(role.uid)}
    assert set(found["Gid"]) == {str(role.gid)}
    assert set(found["Groups"]) <= {str(role.gid)}
    assert int(found["CapEff"][0], 16) == mask(role.capabilities)
    # The bounding set is the container's; what no set of the process has cannot be gained with no-new-privileges.
    assert int(found["CapBnd"][0], 16) == mask((*role.capabilities, *role.init))
    assert found["NoNewPrivs"] == ["1"]


@each_role
def test_nothing_but_its_volumes_can_be_written_to(xeris: Deployment, name: str) -> None:
    for place in (
        "/",
        "/opt/qmail",
        "/opt/venv",
        "/usr/bin",
        "/var/qmail/control",
        "/run/credentials",
        "/var/qmail/tls",
    ):
        said = as_role(xeris, name, "sh", "-c", f"echo >{place}/intruder")
        assert re.search("Read-only file system|Permission denied|nonexistent|cannot create", said), (place, said)


@each_role
def test_it_reads_its_own_credential_and_no_other(xeris: Deployment, name: str) -> None:
    # As uid 0 of the container too: what is not mounted is nobody's to read.
    look = "find /run/credentials /var/lib/credentials -type f 2>/dev/null; true"
    seen = xeris.run(name, "sh", "-c", look, user="0")
    more = {"bounce.bus", "http.token"} if name == "queue" else set()
    own = {f"/run/credentials/{file}" for file in ({f"{name}.bus"} | more)}
    assert set(seen.split()) == own
    assert all(as_role(xeris, name, "sh", "-c", f"cat {path} >/dev/null && echo read") == "read\n" for path in own)


@each_role
def test_it_sees_only_the_volumes_that_it_needs(xeris: Deployment, name: str) -> None:
    rights = read_rights()
    places = {place for place, _ in rights.mounts("admin").values()} | set(rights.volumes.values())
    mounts = {line.split()[1] for line in xeris.run(name, "cat", "/proc/mounts").splitlines()}
    assert mounts & places == {place for place, _ in rights.mounts(name).values()}


@each_role
def test_its_image_has_no_other_role_and_no_installer(xeris: Deployment, name: str) -> None:
    folder = str(RIGHTS[name].program).split(".")[1]
    carried = [room.split(".")[1] for room in read_rights().carried_rooms(name)]
    assert xeris.run(name, "ls", "/opt/qmail/services").split() == sorted([folder, *carried])
    assert "No module named pip" in xeris.try_run(name, "python", "-m", "pip").stderr


def connects(deployment: Deployment, name: str, host: str, port: int) -> bool:
    code = f"import socket; socket.create_connection(({host!r}, {port}), 3)"
    return deployment.try_run(name, "python", "-c", code).returncode == 0


@pytest.fixture(scope="module")
def outside() -> Iterator[tuple[str, int]]:
    """A host beyond the engine's: it knows no way back to private addresses, like every host on the Internet."""
    need("ip")
    subprocess.run(["ip", "netns", "delete", OUTSIDE], capture_output=True)
    try:
        for step in WAY_OUTSIDE:
            subprocess.run(["ip", *step.split()], check=True)
        listen = [*f"ip netns exec {OUTSIDE} {sys.executable} -u -m http.server 25".split()]
        with subprocess.Popen(listen, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
            assert server.stdout is not None and server.stdout.readline()
            yield "198.51.100.2", 25
            server.terminate()
    finally:
        subprocess.run(["ip", "netns", "delete", OUTSIDE], capture_output=True)


OUTSIDE = "test-outside"
WAY_OUTSIDE = (
    f"netns add {OUTSIDE}",
    f"link add test-out0 type veth peer name test-out1 netns {OUTSIDE}",
    "address add 198.51.100.1/30 dev test-out0",
    "link set test-out0 up",
    f"-n {OUTSIDE} address add 198.51.100.2/30 dev test-out1",
    f"-n {OUTSIDE} link set test-out1 up",
)


@needs_outside
@pytest.mark.parametrize("name", [name for name in OURS if "out" not in RIGHTS[name].networks])
def test_no_way_out(xeris: Deployment, outside: tuple[str, int], name: str) -> None:
    assert connects(xeris, name, "bus", 4222)
    assert not connects(xeris, name, *outside)


@needs_outside
def test_delivery_remote_has_the_way_out(xeris: Deployment, outside: tuple[str, int]) -> None:
    assert connects(xeris, "delivery-remote", *outside)


# Beside the ports that RIGHTS.toml names: those on which stock programs would like to listen.
PORTS = sorted(
    {port for role in RIGHTS.values() for ports in role.listens.values() for port in ports} | {80, 8080, 8181, 8222}
)
TRY_ALL = """
import selectors, socket, sys, time
selector, opened = selectors.DefaultSelector(), set()
for pair in sys.stdin.read().split():
    host, _, port = pair.rpartition(":")
    attempt = socket.socket()
    attempt.setblocking(False)
    attempt.connect_ex((host, int(port)))
    selector.register(attempt, selectors.EVENT_WRITE, pair)
ends = time.monotonic() + 5
while selector.get_map() and (left := ends - time.monotonic()) > 0:
    for key, _ in selector.select(left):
        if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            opened.add(key.data)
        selector.unregister(key.fileobj)
        key.fileobj.close()
print("\\n".join(sorted(opened)))
"""


@pytest.fixture(scope="module")
def addresses(xeris: Deployment) -> dict[tuple[str, str], str]:
    """(container, network) -> address."""
    found: dict[tuple[str, str], str] = {}
    for name, role in RIGHTS.items():
        if role.part_of is None:
            identity = xeris.control("ps", "--quiet", name).split()[0]
            shown = subprocess.run(["docker", "inspect", identity], capture_output=True, text=True, check=True)
            networks = json.loads(shown.stdout)[0]["NetworkSettings"]["Networks"]
            found |= {
                (name, network.removeprefix(f"{xeris.project}_")): settings["IPAddress"]
                for network, settings in networks.items()
            }
    return found


@pytest.mark.parametrize("name", OURS)
def test_it_reaches_what_rights_say_and_nothing_else(
    xeris: Deployment, addresses: dict[tuple[str, str], str], name: str
) -> None:
    """Every pair of containers, by each address of the other one, on every port that anything of ours has."""
    others = {key: address for key, address in addresses.items() if key[0] != name}
    pairs = "".join(f"{address}:{port}\n" for address in others.values() for port in PORTS)
    opened = set(xeris.run(name, "python", "-c", TRY_ALL, stdin=pairs).split())
    allowed = {
        f"{address}:{port}"
        for (other, network), address in others.items()
        if network in RIGHTS[name].networks
        for port in RIGHTS[other].listens.get(network, [])
    }
    assert opened == allowed


def test_admin_finds_every_door_by_the_name_of_this_host(xeris: Deployment) -> None:
    """The tutorial's `telnet mail.xeris.com 25`, and 110, and 143."""
    greet = "import socket, sys; print(socket.create_connection(('mail.xeris.com', int(sys.argv[1])), 9).recv(99))"
    for port, word in ((25, "220 mail.xeris.com"), (110, "+OK"), (143, "* OK")):
        assert word in xeris.run("admin", "python", "-c", greet, str(port))


def test_a_program_of_a_dot_qmail_reaches_nobody(xeris: Deployment) -> None:
    """It gets no socket that leads to another host, though the container that runs it reaches the bus."""
    script = "import socket; socket.socket(socket.AF_INET)"
    xeris.run("admin", "qmailctl", "su", "joni", "-c", "cat >.qmail-net", stdin=f'|python -c "{script}" || exit 100\n')
    xeris.send("budi@xeris.com", ["joni-net@xeris.com"], "Subject: dari program\n\nhalo\n")
    bounce = xeris.message_with("budi", "budi-password", b"Permission denied")
    assert b"<joni-net@xeris.com>:" in bounce
