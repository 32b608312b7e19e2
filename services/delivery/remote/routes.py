"""control/smtproutes: artificial SMTP routes (qmail-remote(8)), and literal addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from qmail.message.address import domain_and_parents

SMTP_PORT = 25


@dataclass(frozen=True, slots=True)
class Route:
    """Where mail goes instead of the MX: a host name or literal address, and a port."""

    host: bytes
    port: int


@lru_cache(maxsize=1024)
def parse_literal(host: bytes) -> str | None:
    """The address that `host` spells: 1.2.3.4, [1.2.3.4], [IPv6:::1] or [::1]; None for a name."""
    text = host
    if host.startswith(b"["):
        if not host.endswith(b"]"):
            return None
        text = host[1:-1]
        if text[:5].lower() == b"ipv6:":
            text = text[5:]
    try:
        return str(ipaddress.ip_address(text.decode("ascii")))
    except ValueError:
        return None


def find_route(routes: Mapping[bytes, bytes], host: bytes) -> Route | None:
    """The route for `host`: exact, then .suffix by suffix, then the empty key; None: ask the DNS.

    Keys are in lower case; an empty relay means the DNS."""
    for key in (*domain_and_parents(host.lower()), b""):
        relay = routes.get(key)
        if relay is not None:
            return _parse_relay(relay) if relay else None
    return None


def _parse_relay(relay: bytes) -> Route | None:
    # An IPv6 address holds colons: inside brackets they do not begin the port.
    close = relay.find(b"]") if relay.startswith(b"[") else -1
    host, colon, port = relay[close + 1 :].partition(b":")
    host = relay[: close + 1] + host
    number = _leading_number(port) if colon else SMTP_PORT
    return Route(host, number)


def _leading_number(text: bytes) -> int:
    # As qmail's scan_ulong into a 16-bit port: digits in front count, the rest is ignored.
    digits = text[: len(text) - len(text.lstrip(b"0123456789"))][:9]
    return int(digits or b"0") & 0xFFFF
