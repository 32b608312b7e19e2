"""Asking the DNS where mail for a host goes: MX, A, AAAA, and CNAME in the manner of qmail 1.03; then /etc/hosts."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver

import qmail.role.resolver
from services.delivery.remote.hosts import HostsFile
from services.delivery.remote.mx import (
    MAX_ADDRESSES,
    MAX_EXCHANGERS,
    Exchanger,
    HostAddress,
    is_null_mx,
    order_exchangers,
)
from services.delivery.remote.routes import parse_literal

# A query is repeated within this; then the answer is "temporarily not known".
LIFETIME_SECONDS = 12.0
_TRY_SECONDS = 4.0
# For all exchangers of a domain; those that are known by then are tried.
_EXCHANGERS_SECONDS = 60.0
_MAX_ALIASES = 10
# Answers are kept as long as they say, but no longer than this: what somebody mends in the DNS is soon seen. A query
# costs 0.5 ms of CPU, and a delivery asks three.
KEEP_SECONDS = 60.0
_MAX_KEPT = 1000


class DnsTemporaryError(Exception):
    """No usable answer: time-out, SERVFAIL, REFUSED, no server. A doubt, so never permanent."""


class HostNotFoundError(Exception):
    """The name does not exist, or has no address."""


class NullMxError(Exception):
    """The domain takes no mail (RFC 7505)."""


@dataclass(frozen=True, slots=True)
class Canonical:
    """A recipient's domain after CNAME rewriting; `alias`: whether it was one (dns_cname)."""

    name: bytes
    alias: bool


class _Cache(dns.resolver.LRUCache):
    def put(self, key: dns.resolver.CacheKey, value: dns.resolver.Answer) -> None:
        value.expiration = min(value.expiration, time.time() + KEEP_SECONDS)
        super().put(key, value)


def to_dns_name(host: bytes) -> dns.name.Name:
    """The bytes as labels, whatever they are. Raises HostNotFoundError where that makes no name."""
    labels = host.removesuffix(b".").split(b".")
    try:
        return dns.name.Name([*labels, b""])
    except dns.exception.DNSException as error:
        raise HostNotFoundError from error


def _from_dns_name(name: dns.name.Name) -> bytes:
    return b".".join(label for label in name.labels if label)


class Resolver:
    """Look-ups by the deployment's own DNS server."""

    def __init__(
        self, resolver: dns.asyncresolver.Resolver, *, ipv6: bool = True, hosts: HostsFile | None = None
    ) -> None:
        self._resolver = resolver
        self._hosts = hosts or HostsFile()
        self._cache = resolver.cache = _Cache(_MAX_KEPT)
        self._ipv6 = ipv6
        self._rng = random.Random()

    def forget(self) -> None:
        """Ask anew from now on (qmailctl flush)."""
        self._cache.flush()

    async def _query(self, host: bytes, kind: dns.rdatatype.RdataType) -> list[Any]:
        name = to_dns_name(host)
        try:
            answer = await self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise DnsTemporaryError(str(error)) from error
        return list(answer.rrset or ())

    async def canonical(self, host: bytes) -> Canonical:
        """Follow CNAMEs as qmail 1.03 does before it writes a recipient's domain (RFC 1123 5.2.2).

        Raises DnsTemporaryError."""
        for step in range(_MAX_ALIASES):
            if not host or host.endswith(b"]"):
                return Canonical(host, alias=step > 0)
            if host.endswith(b"."):
                host = host[:-1]
                continue
            target = await self._alias_target(host)
            if target is None:
                return Canonical(host, alias=step > 0)
            host = target
        return Canonical(host, alias=True)

    async def _alias_target(self, host: bytes) -> bytes | None:
        try:
            records = await self._query(host, dns.rdatatype.CNAME)
        except HostNotFoundError:
            return None
        return _from_dns_name(records[0].target) if records else None

    async def addresses(self, host: bytes, preference: int = 0) -> list[HostAddress]:
        """The addresses of a host name or literal, by /etc/hosts where the DNS knows none; empty where it has none.

        Raises DnsTemporaryError, and HostNotFoundError where the bytes make no name."""
        literal = parse_literal(host)
        if literal is not None:
            return [HostAddress(literal, preference, host)]
        kinds = [dns.rdatatype.A, dns.rdatatype.AAAA] if self._ipv6 else [dns.rdatatype.A]
        answers = await asyncio.gather(*(self._query(host, kind) for kind in kinds), return_exceptions=True)
        found: list[HostAddress] = []
        for answer in answers:
            if not isinstance(answer, BaseException):
                found += [HostAddress(record.address, preference, host) for record in answer]
        failed = next((answer for answer in answers if isinstance(answer, BaseException)), None)
        if not found:
            found = [HostAddress(address, preference, host) for address in self._hosts.find(host)]
        if failed is not None and not found:
            raise failed
        return found[:MAX_ADDRESSES]

    async def exchangers(self, host: bytes) -> list[Exchanger]:
        """The MX records of a domain, in the order to try; empty where there are none, or no DNS, but /etc/hosts.

        Raises DnsTemporaryError, HostNotFoundError."""
        try:
            records = await self._query(host, dns.rdatatype.MX)
        except DnsTemporaryError:
            if not self._hosts.find(host):
                raise
            return []
        found = (Exchanger(record.preference, _from_dns_name(record.exchange)) for record in records)
        return order_exchangers(found, self._rng)

    async def mail_addresses(self, host: bytes, exchangers: list[Exchanger]) -> list[HostAddress]:
        """The addresses that take mail for `host`, whose MX records are given.

        Without MX records the host's own addresses. Exchangers are looked up until MAX_ADDRESSES are known. Raises
        DnsTemporaryError (nothing found, and a look-up failed or was not made), HostNotFoundError (no MX, no address),
        NullMxError."""
        if not exchangers:
            if own := await self.addresses(host):
                return own
            raise HostNotFoundError
        if is_null_mx(exchangers):
            raise NullMxError
        found: list[HostAddress] = []
        try:
            async with asyncio.timeout(_EXCHANGERS_SECONDS):
                doubt = await self._look_up(exchangers[:MAX_EXCHANGERS], found)
        except TimeoutError:
            doubt = True
        if not found and (doubt or len(exchangers) > MAX_EXCHANGERS):
            raise DnsTemporaryError
        return found

    async def _look_up(self, exchangers: list[Exchanger], found: list[HostAddress]) -> bool:
        """Add the exchangers' addresses to `found`; whether one of them could not be asked for."""
        doubt = False
        for exchanger in exchangers:
            try:
                found += await self.addresses(exchanger.name, exchanger.preference)
            except DnsTemporaryError:
                doubt = True
            except HostNotFoundError:
                continue
            if len(found) >= MAX_ADDRESSES:
                break
        return doubt


def make_resolver(
    environ: Mapping[str, str] = os.environ,
    *,
    ipv6: bool = True,
    lifetime_seconds: float = LIFETIME_SECONDS,
    hosts: HostsFile | None = None,
) -> Resolver:
    """The resolver for this process: DNS_SERVER, else /etc/resolv.conf. Raises SettingsError."""
    resolver = qmail.role.resolver.make_resolver(environ, lifetime_seconds)
    resolver.timeout = _TRY_SECONDS
    resolver.retry_servfail = False
    return Resolver(resolver, ipv6=ipv6, hosts=hosts)
