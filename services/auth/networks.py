"""Whose attempt it is, as far as an address tells: an IPv4 address, or the /64 of an IPv6 one. Pure."""

from __future__ import annotations

import ipaddress

#: What one customer of a provider has at least (RFC 6177), and changes addresses within as he likes (RFC 8981).
IPV6_PREFIX = 64


def network_of(ip: str) -> str:
    """`203.0.113.9`, `2001:db8::/64`; what is no address stands for itself."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, IPV6_PREFIX), strict=False))
