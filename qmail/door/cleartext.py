"""Whether a password may cross this connection as it is: one decision for smtpd, pop3 and imap. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from qmail.control.kinds import Network


def is_in(address: str, networks: Collection[Network]) -> bool:
    """Whether one of them has this address; False for what is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in network for network in networks)


def is_loopback(address: str) -> bool:
    """Whether this is an address of the machine's own loopback; False for what is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def plaintext_allowed(
    *, tls: bool, peer_ip: str, address: str, gateways: Collection[str] = (), networks: Collection[Network] = ()
) -> bool:
    """A password may be sent under TLS, from this machine, from a network that the administrator named, or by the
    gateway while nobody else comes that way.

    address: the setting ADDRESS, where the ports are published. A container's client that is the host itself
    appears as the bridge's gateway, as every IPv6 client does; while ADDRESS is a loopback address that is the
    host alone. gateways: those of this machine (qmail.role.interfaces.read_gateways), which are nobody's network.
    """
    if tls or is_loopback(peer_ip):
        return True
    if peer_ip in gateways:
        return is_loopback(address)
    return is_in(peer_ip, networks)
