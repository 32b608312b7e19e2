"""Whether a password may cross this connection as it is: one decision for smtpd, pop3 and imap. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection


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
    host alone. gateways: those of this machine (qmail.role.interfaces.read_gateways).
    """
    return tls or is_loopback(peer_ip) or (peer_ip in gateways and is_loopback(address))
