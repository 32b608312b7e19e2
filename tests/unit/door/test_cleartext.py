from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from qmail.control.files import Control
from qmail.door.cleartext import is_loopback, plaintext_allowed
from qmail.door.cleartext_networks import CleartextNetworks
from qmail.log.notices import Notices
from qmail.role.interfaces import read_gateways

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t011D1DAC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t001D1DAC\t00000000\t0001\t0\t0\t0\tC0FFFFFF\t0\t0\t0
"""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        *((address, True) for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")),
        *((address, False) for address in ("10.0.0.1", "::ffff:10.0.0.1", "", "localhost", "0.0.0.0")),
    ],
)
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_who_may_send_a_password_in_plain_text() -> None:
    gateways = {"172.29.29.1"}
    for tls, peer, address, expected in (
        (True, "203.0.113.9", "192.0.2.1", True),
        (False, "203.0.113.9", "127.0.0.1", False),
        (False, "127.0.0.1", "192.0.2.1", True),
        (False, "172.29.29.1", "127.0.0.1", True),
        (False, "172.29.29.1", "192.0.2.1", False),
        (False, "172.29.29.7", "127.0.0.1", False),
    ):
        assert plaintext_allowed(tls=tls, peer_ip=peer, address=address, gateways=gateways) is expected


def test_gateways_are_read_from_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(ROUTES)
    assert read_gateways(table) == {"172.29.29.1"}
    assert read_gateways(tmp_path / "none") == frozenset()


NETWORKS = tuple(map(ipaddress.ip_network, ("192.168.1.0/24", "2001:db8::/64")))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        *((peer, True) for peer in ("192.168.1.7", "::ffff:192.168.1.7", "2001:db8::7")),
        *((peer, False) for peer in ("192.168.2.7", "2001:db8:1::7", "", "nowhere")),
    ],
)
def test_who_comes_from_a_network_that_the_administrator_named(peer: str, expected: bool) -> None:
    assert plaintext_allowed(tls=False, peer_ip=peer, address="192.0.2.1", networks=NETWORKS) is expected


def test_the_gateway_stands_for_anybody_and_is_in_no_such_network() -> None:
    gateways, anybody = {"172.29.29.1"}, (ipaddress.ip_network("0.0.0.0/0"),)
    for address, expected in (("192.0.2.1", False), ("127.0.0.1", True)):
        assert (
            plaintext_allowed(tls=False, peer_ip="172.29.29.1", address=address, gateways=gateways, networks=anybody)
            is expected
        )


def test_the_networks_stand_in_stat_while_there_are_some(tmp_path: Path) -> None:
    said: list[str] = []
    notices = Notices(said.append)
    networks = CleartextNetworks(Control(tmp_path, notices), notices)
    assert networks.current() == () and said == []
    (tmp_path / "cleartextnets").write_text("# the old room\n192.168.1.0/24\n10.0.0.7\n")
    assert [str(each) for each in networks.current()] == ["192.168.1.0/24", "10.0.0.7/32"]
    told = "control/cleartextnets: passwords cross the network in clear: 192.168.1.0/24, 10.0.0.7/32"
    assert [one.text for one in notices.standing] == [told]
    (tmp_path / "cleartextnets").unlink()
    assert networks.current() == () and said == [f"alert: {told}", f"mended: {told}"]


def test_a_bad_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "cleartextnets").write_text("the old room\n")
    assert CleartextNetworks(Control(tmp_path), Notices(print)).current() == ()
