from __future__ import annotations

from pathlib import Path

import pytest

from qmail.door.cleartext import is_loopback, plaintext_allowed
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
