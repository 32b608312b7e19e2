"""The names of clients: by reverse look-up and confirmed forward, as `tcpserver -p` finds TCPREMOTEHOST.

Bounded in time and number, and remembered: a client waits for its own name, never for anybody else's.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

from qmail.message.remote_host import DOUBT, NO_HOST, RemoteHost
from qmail.role.resolver import make_resolver

# RFC 5321 4.5.3.2.1 lets a client wait five minutes for the greeting; people at a telnet have less patience.
LOOKUP_SECONDS = 10.0
_TRY_SECONDS = 3.0
# Names of one address that are confirmed; who has more is no single host.
MAX_NAMES = 5
# Look-ups at once in one process; whoever comes while so many run has no name.
MAX_LOOKUPS = 50
MAX_REMEMBERED = 10_000
# How long an answer is believed, by its TTL within these; and a doubt.
LEAST_SECONDS, MOST_SECONDS = 60.0, 3600.0
DOUBT_SECONDS = 10.0


class RemoteHosts:
    """Looks names up and remembers them. `clock` gives seconds."""

    def __init__(self, resolver: dns.asyncresolver.Resolver, clock: Callable[[], float]) -> None:
        self._resolver = resolver
        self._clock = clock
        self._known: dict[str, tuple[float, RemoteHost]] = {}
        self._running: dict[str, asyncio.Task[RemoteHost]] = {}

    def known(self, ip: str) -> RemoteHost | None:
        """What was found out lately; None: it must be looked up."""
        until, host = self._known.get(ip, (0.0, NO_HOST))
        return host if self._clock() < until else None

    async def find(self, ip: str) -> RemoteHost:
        """The name of the client at this address. Never raises."""
        known = self.known(ip)
        if known is not None:
            return known
        task = self._running.get(ip)
        if task is None:
            if len(self._running) >= MAX_LOOKUPS:
                return DOUBT
            task = self._running[ip] = asyncio.create_task(self._find(ip))
        return await asyncio.shield(task)

    async def _find(self, ip: str) -> RemoteHost:
        seconds, host = DOUBT_SECONDS, DOUBT
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                seconds, host = await self._look_up(ip)
        except (dns.exception.DNSException, OSError, TimeoutError, ValueError):
            pass  # a doubt
        finally:
            del self._running[ip]
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[ip] = self._clock() + seconds, host
        return host

    async def _look_up(self, ip: str) -> tuple[float, RemoteHost]:
        """How many seconds to believe it, and the name. Raises DNSException, OSError."""
        address = ipaddress.ip_address(ip)
        names, seconds = await self._ask(dns.reversename.from_address(ip), "PTR")
        doubt: dns.exception.DNSException | None = None
        for record in names[:MAX_NAMES]:
            try:
                found, forward_seconds = await self._ask(record.target, "A" if address.version == 4 else "AAAA")
            except dns.exception.DNSException as error:
                doubt = error
                continue
            if any(ipaddress.ip_address(each.address) == address for each in found):
                return min(seconds, forward_seconds), RemoteHost(record.target.to_text(omit_final_dot=True).lower())
        if doubt is not None:
            raise doubt
        return seconds, NO_HOST

    async def _ask(self, name: Any, kind: str) -> tuple[list[Any], float]:
        """Records and how long to believe them; none where the name or its records do not exist."""
        try:
            answer = await self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return [], LEAST_SECONDS
        if answer.rrset is None:
            return [], LEAST_SECONDS
        return list(answer.rrset), min(MOST_SECONDS, max(LEAST_SECONDS, float(answer.rrset.ttl)))


def make_remote_hosts(environ: Mapping[str, str], clock: Callable[[], float]) -> RemoteHosts:
    """By this process's name server. Raises SettingsError."""
    resolver = make_resolver(environ, LOOKUP_SECONDS)
    resolver.timeout = _TRY_SECONDS
    return RemoteHosts(resolver, clock)
