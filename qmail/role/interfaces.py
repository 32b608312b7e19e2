"""This machine's own addresses, its subnets (netdevice(7)) and its gateways."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

_ROUTES = Path("/proc/net/route")
Interface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

_SIOCGIFADDR = 0x8915
_SIOCGIFNETMASK = 0x891B


# In a container with several networks: the one on which it is to be reached.
LISTEN_NETWORK = "LISTEN_NETWORK"
EVERYWHERE = "0.0.0.0"


def read_interfaces() -> tuple[Interface, ...]:
    """Every address with its subnet, loopback too."""
    return (*_read_ipv4(), *_read_ipv6())


def host_to_listen(host: str, environ: Mapping[str, str], interfaces: Iterable[Interface] | None = None) -> str:
    """Where a listener for `host` listens: 0.0.0.0 is this machine's own address in LISTEN_NETWORK where that is set.

    Raises ValueError where it is no network, or this machine has no address in it."""
    text = environ.get(LISTEN_NETWORK)
    if not text or host != EVERYWHERE:
        return host
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{LISTEN_NETWORK} is {text!r}; expected a network, as in 172.29.25.0/26") from error
    own = (each.ip for each in (read_interfaces() if interfaces is None else interfaces) if each.ip in network)
    address = next(own, None)
    if address is None:
        raise ValueError(f"{LISTEN_NETWORK} is {text}; expected a network in which this machine has an address")
    return str(address)


def read_gateways(routes: Path = _ROUTES) -> frozenset[str]:
    """The gateways in this machine's IPv4 routes (proc_net(5)); empty where that cannot be read."""
    try:
        rows = [row.split() for row in routes.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return frozenset()
    found = {bytes.fromhex(row[2])[::-1] for row in rows if len(row) > 2 and row[2] != "00000000"}
    return frozenset(str(ipaddress.IPv4Address(gateway)) for gateway in found)


def _read_ipv4() -> Iterator[Interface]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            address = _ask(probe, _SIOCGIFADDR, name)
            mask = _ask(probe, _SIOCGIFNETMASK, name)
            if address and mask:
                yield ipaddress.IPv4Interface(f"{address}/{mask}")


def _ask(probe: socket.socket, request: int, name: str) -> str:
    try:
        answer = fcntl.ioctl(probe.fileno(), request, struct.pack("256s", name.encode()[:15]))
    except OSError:
        return ""
    return socket.inet_ntoa(answer[20:24])


def _read_ipv6() -> Iterator[Interface]:
    try:
        lines = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        digits, _, prefix_length, *_ = line.split()
        yield ipaddress.IPv6Interface((int(digits, 16), int(prefix_length, 16)))
