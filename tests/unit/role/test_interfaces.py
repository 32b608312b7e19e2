"""On which of a container's networks it is reached."""

from __future__ import annotations

import ipaddress

import pytest

from qmail.role.interfaces import host_to_listen, read_interfaces

INTERFACES = [ipaddress.IPv4Interface(text) for text in ("127.0.0.1/8", "172.29.25.2/26", "172.29.25.97/26")]


@pytest.mark.parametrize(
    ("host", "environ", "listens"),
    [
        ("0.0.0.0", {}, "0.0.0.0"),
        ("0.0.0.0", {"LISTEN_NETWORK": "172.29.25.0/26"}, "172.29.25.2"),
        ("0.0.0.0", {"LISTEN_NETWORK": "172.29.25.64/26"}, "172.29.25.97"),
        # Who names an address means it.
        ("127.0.0.1", {"LISTEN_NETWORK": "172.29.25.0/26"}, "127.0.0.1"),
    ],
)
def test_everywhere_is_the_own_address_in_the_network(host: str, environ: dict[str, str], listens: str) -> None:
    assert host_to_listen(host, environ, INTERFACES) == listens


@pytest.mark.parametrize("network", ["edge", "192.0.2.0/24"])
def test_a_network_that_is_none_or_not_ours_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match="LISTEN_NETWORK"):
        host_to_listen("0.0.0.0", {"LISTEN_NETWORK": network}, INTERFACES)


def test_loopback_is_an_interface_of_this_machine() -> None:
    assert any(interface.ip.is_loopback for interface in read_interfaces())
