"""Whether names can be looked up: part of the health of those roles that need MX records."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping

import dns.asyncresolver
import dns.resolver

LIFETIME_SECONDS = 5.0


def names_check(domain: str, environ: Mapping[str, str] = os.environ) -> Callable[[], Awaitable[None]] | None:
    """A check that asks DNS_SERVER (`address` or `address:port`) for the MX of our own domain; None where this is
    not set. "No such name" is an answer too. The check raises dns.exception.DNSException."""
    server = environ.get("DNS_SERVER")
    if not server:
        return None
    resolver = dns.asyncresolver.Resolver(configure=False)
    address, _, port = server.partition(":")
    resolver.nameservers = [address]
    resolver.port = int(port or 53)
    resolver.lifetime = LIFETIME_SECONDS

    async def check() -> None:
        try:
            await resolver.resolve(domain, "MX", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return

    return check
