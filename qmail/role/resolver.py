"""The resolver of a process: DNS_SERVER, or what /etc/resolv.conf says."""

from __future__ import annotations

from collections.abc import Mapping

import dns.asyncresolver
import dns.resolver

from qmail.control.settings import read_name_server


def make_resolver(environ: Mapping[str, str], lifetime_seconds: float) -> dns.asyncresolver.Resolver:
    """A question is repeated within `lifetime_seconds`. Raises SettingsError where DNS_SERVER is no address."""
    server = read_name_server(environ)
    try:
        resolver = dns.asyncresolver.Resolver(configure=server is None)
    except dns.resolver.NoResolverConfiguration:
        # A machine without a name server: each question fails, for now.
        resolver = dns.asyncresolver.Resolver(configure=False)
    if server is not None:
        address, resolver.port = server
        resolver.nameservers = [address]
    resolver.lifetime = lifetime_seconds
    return resolver
