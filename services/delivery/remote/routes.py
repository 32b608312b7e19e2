"""control/smtproutes: artificial SMTP routes (qmail-remote(8)), what a route asks of TLS, who logs in by it; and
literal addresses. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from qmail.control.route_passwords import SMTP_PORT
from qmail.message.address import domain_and_parents


class Tls(Enum):
    """What a route asks: to use it where it is offered, that there be some, that the certificate be the host's."""

    OFFERED = "offered"
    ENCRYPT = "encrypt"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Route:
    """Where mail goes instead of the MX: a host name or literal address, and a port.

    `user`: who logs in there. `understood`: false where something follows the port that is no option; nothing goes by
    such a route, since what was meant may be a password."""

    host: bytes
    port: int
    user: bytes = b""
    tls: Tls = Tls.OFFERED
    understood: bool = True


_TLS = {b"tls": Tls.VERIFY, b"tls=verify": Tls.VERIFY, b"tls=encrypt": Tls.ENCRYPT}
# There TLS comes first (RFC 8314).
SUBMISSIONS_PORT = 465
# As other mail servers and patches of qmail have credentials: relay|user|password, relay:port/user/password.
_PASSWORD = re.compile(rb"[|/]")


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
            return _parse_relay(relay) if relay.strip() else None
    return None


def _parse_relay(relay: bytes) -> Route:
    # qmail takes a blank before the relay as a part of its name.
    relay, *options = [relay] if relay[:1].isspace() else relay.split()
    # An IPv6 address holds colons: inside brackets they do not begin the port.
    close = relay.find(b"]") if relay.startswith(b"[") else -1
    host, colon, port = relay[close + 1 :].partition(b":")
    host = relay[: close + 1] + host
    number = _leading_number(port) if colon else SMTP_PORT
    user, tls, understood = b"", Tls.OFFERED, _PASSWORD.search(relay) is None
    for option in options:
        if option in _TLS:
            tls = _TLS[option]
        elif option.startswith(b"user=") and option != b"user=":
            user = option.removeprefix(b"user=")
        else:
            understood = False
    if tls is Tls.OFFERED and (user or number == SUBMISSIONS_PORT):
        # A password goes to nobody else, unless it was said otherwise.
        tls = Tls.VERIFY if user else Tls.ENCRYPT
    return Route(host, number, user, tls, understood)


def _leading_number(text: bytes) -> int:
    # As qmail's scan_ulong into a 16-bit port: digits in front count, the rest is ignored.
    digits = text[: len(text) - len(text.lstrip(b"0123456789"))][:9]
    return int(digits or b"0") & 0xFFFF
