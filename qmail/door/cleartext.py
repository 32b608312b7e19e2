"""Whether a password may cross this connection as it is: one decision for smtpd, pop3 and imap."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from pathlib import Path

ROUTES = Path("/proc/net/route")


def is_loopback(address: str) -> bool:
    """Whether this is an address of the machine's own loopback; False for what is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def plaintext_allowed(*, tls: bool, peer_ip: str, address: str, gateways: Collection[str] = ()) -> bool:
    """A password may be sent under TLS, from this machine, or by the gateway while nobody else comes that way.

    address: the setting ADDRESS, where the ports are published. A container's client that is the host itself
    appears as the bridge's gateway, as every IPv6 client does; while ADDRESS is a loopback address that is the
    host alone. gateways: see `read_gateways`.
    """
    return tls or is_loopback(peer_ip) or (peer_ip in gateways and is_loopback(address))


def read_gateways(routes: Path = ROUTES) -> frozenset[str]:
    """The gateways in this machine's IPv4 routes (proc_net(5)); empty where that cannot be read."""
    try:
        rows = [row.split() for row in routes.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return frozenset()
    found = {bytes.fromhex(row[2])[::-1] for row in rows if len(row) > 2 and row[2] != "00000000"}
    return frozenset(str(ipaddress.IPv4Address(gateway)) for gateway in found)
