"""/etc/hosts beside the DNS: an intranet without one, names that only the file has, and the DNS first."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from services.delivery.remote.hosts import HostsFile, parse_hosts
from services.delivery.remote.resolve import DnsTemporaryError, HostNotFoundError, Resolver, make_resolver
from tests.support.dnsserver import DnsServer

HOSTS = b"""127.0.0.1 localhost here.xeris.com
192.168.1.7\tPC7.xeris.com pc7 # the workshop's
192.168.1.8 both.xeris.com
fd00::7 pc7.xeris.com
nonsense pc8.xeris.com
"""
ZONE: dict[str, Any] = {
    "both.xeris.com": [["A", "192.168.1.99"]],
    "mx.xeris.com": [["MX", 10, "pc7.xeris.com"]],
    "dark.xeris.com": "servfail",
}


def resolve(tmp_path: Path, ask: Callable[[Resolver], Awaitable[Any]], content: bytes = HOSTS) -> Any:
    (tmp_path / "hosts").write_bytes(content)

    async def run() -> Any:
        dns = DnsServer(ZONE)
        await dns.start()
        environ = {"DNS_SERVER": f"127.0.0.1:{dns.port}"}
        try:
            return await ask(make_resolver(environ, hosts=HostsFile(tmp_path / "hosts")))
        finally:
            dns.stop()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        (b"pc7.xeris.com", ["192.168.1.7", "fd00::7"]),
        # The DNS comes first, and an exchanger may be in the file alone.
        (b"both.xeris.com", ["192.168.1.99"]),
        (b"mx.xeris.com", ["192.168.1.7", "fd00::7"]),
    ],
)
def test_where_mail_for_a_name_goes(tmp_path: Path, name: bytes, addresses: list[str]) -> None:
    async def ask(resolver: Resolver) -> list[str]:
        found = await resolver.mail_addresses(name, await resolver.exchangers(name))
        return [each.ip for each in found]

    assert resolve(tmp_path, ask) == addresses


def test_without_an_answer_of_the_dns_the_file_has_the_last_word(tmp_path: Path) -> None:
    async def ask(resolver: Resolver) -> list[str]:
        found = await resolver.mail_addresses(b"dark.xeris.com", await resolver.exchangers(b"dark.xeris.com"))
        return [each.ip for each in found]

    assert resolve(tmp_path, ask, b"192.168.1.5 dark.xeris.com\n") == ["192.168.1.5"]
    with pytest.raises(DnsTemporaryError):
        resolve(tmp_path, ask)


def test_this_host_s_own_names_are_no_way_to_another(tmp_path: Path) -> None:
    async def ask(resolver: Resolver) -> Any:
        return await resolver.mail_addresses(b"here.xeris.com", [])

    with pytest.raises(HostNotFoundError):
        resolve(tmp_path, ask)


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    hosts = HostsFile(tmp_path / "hosts")
    assert hosts.find(b"a") == []
    (tmp_path / "hosts").write_bytes(b"192.0.2.1 a\n")
    assert hosts.find(b"A.") == ["192.0.2.1"]
    (tmp_path / "hosts").write_bytes(b"192.0.2.2 a\n")
    os.utime(tmp_path / "hosts", (1, 1))
    assert hosts.find(b"a") == ["192.0.2.2"]
    assert parse_hosts(b"\xff x\n\n192.0.2.1\n") == {}
