"""Look-ups against a real name server: a doubt is temporary, a missing name is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qmail.control.settings import SettingsError
from services.delivery.remote.mx import HostAddress
from services.delivery.remote.resolve import (
    Canonical,
    DnsTemporaryError,
    HostNotFoundError,
    NullMxError,
    Resolver,
    make_resolver,
)
from tests.support.dnsserver import DnsServer, Zone

ZONE: Zone = {
    "remote.org": [["MX", 20, "mx2.remote.org"], ["MX", 10, "mx1.remote.org"]],
    "mx1.remote.org": [["A", "192.0.2.1"]],
    "mx2.remote.org": [["A", "192.0.2.2"], ["AAAA", "2001:db8::2"]],
    "alias.org": [["CNAME", "remote.org"]],
    "loop.org": [["CNAME", "pool.org"]],
    "pool.org": [["CNAME", "loop.org"]],
    "plain.org": [["A", "192.0.2.7"]],
    "null.org": [["MX", 0, "."]],
    "half.org": [["MX", 10, "broken.org"], ["MX", 20, "mx2.remote.org"]],
    "doubt.org": [["MX", 10, "broken.org"]],
    "dangling.org": [["MX", 10, "nowhere.org"]],
    "broken.org": "servfail",
    "closed.org": "refused",
}


def ask(question: Callable[[Resolver], Awaitable[Any]], zone: Zone = ZONE) -> Any:
    async def main() -> Any:
        server = DnsServer(zone)
        await server.start()
        try:
            return await question(make_resolver({"DNS_SERVER": f"127.0.0.1:{server.port}"}))
        finally:
            server.stop()

    return asyncio.run(main())


def where(host: bytes) -> list[HostAddress]:
    async def question(resolver: Resolver) -> list[HostAddress]:
        return await resolver.mail_addresses(host, await resolver.exchangers(host))

    found: list[HostAddress] = ask(question)
    return found


@pytest.mark.parametrize(
    ("host", "ips"),
    [
        (b"remote.org", ["192.0.2.1", "192.0.2.2", "2001:db8::2"]),
        (b"REMOTE.org.", ["192.0.2.1", "192.0.2.2", "2001:db8::2"]),
        (b"alias.org", ["192.0.2.1", "192.0.2.2", "2001:db8::2"]),
        (b"plain.org", ["192.0.2.7"]),
        (b"half.org", ["192.0.2.2", "2001:db8::2"]),
        (b"dangling.org", []),
    ],
)
def test_where_mail_goes(host: bytes, ips: list[str]) -> None:
    assert [address.ip for address in where(host)] == ips


@pytest.mark.parametrize("host", [b"broken.org", b"closed.org", b"doubt.org"])
def test_no_usable_answer_is_temporary(host: bytes) -> None:
    with pytest.raises(DnsTemporaryError):
        where(host)


@pytest.mark.parametrize("host", [b"nowhere.org", b"re mote.org\xc3\xa9", b"a..b", b"", b"x" * 64 + b".org"])
def test_what_does_not_exist_or_is_no_name_is_not_found(host: bytes) -> None:
    with pytest.raises(HostNotFoundError):
        where(host)


def test_a_null_mx_takes_no_mail() -> None:
    with pytest.raises(NullMxError):
        where(b"null.org")


@pytest.mark.parametrize(
    ("domain", "canonical"),
    [
        (b"remote.org", Canonical(b"remote.org", False)),
        (b"alias.org", Canonical(b"remote.org", True)),
        (b"remote.org.", Canonical(b"remote.org", True)),
        (b"nowhere.org", Canonical(b"nowhere.org", False)),
        (b"[192.0.2.1]", Canonical(b"[192.0.2.1]", False)),
        (b"loop.org", Canonical(b"loop.org", True)),
    ],
)
def test_canonical_names_as_in_qmail_1_03(domain: bytes, canonical: Canonical) -> None:
    assert ask(lambda resolver: resolver.canonical(domain)) == canonical


def test_a_dead_name_server_is_temporary() -> None:
    async def main() -> None:
        server = DnsServer({})
        await server.start()
        port = server.port
        server.stop()
        await asyncio.sleep(0)
        resolver = make_resolver({"DNS_SERVER": f"127.0.0.1:{port}"}, lifetime_seconds=0.3)
        await resolver.exchangers(b"remote.org")

    with pytest.raises(DnsTemporaryError):
        asyncio.run(main())


def test_a_dns_server_that_is_no_address_is_refused_at_start() -> None:
    with pytest.raises(SettingsError, match=r"DNS_SERVER: 'dns' .* expected address or address:port"):
        make_resolver({"DNS_SERVER": "dns"})


def test_an_answer_is_kept_for_a_while_and_forgotten_when_told() -> None:
    async def test() -> list[set[str]]:
        server = DnsServer(ZONE)
        await server.start()
        resolver = make_resolver({"DNS_SERVER": f"127.0.0.1:{server.port}"})
        asked = []
        for forget in (False, False, True):
            server.queries.clear()
            if forget:
                resolver.forget()
            for name in (b"remote.org", b"missing.org"):
                await resolver.exchangers(name)
            asked.append(set(server.queries))
        server.stop()
        return asked

    first, second, third = asyncio.run(test())
    assert first == third == {"MX remote.org", "MX missing.org"}
    assert second == set()
