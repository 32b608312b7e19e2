"""A client's name: found in reverse, confirmed forward, remembered; a doubt is no answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qmail.message.remote_host import NO_HOST, RemoteHost
from qmail.role import remote_hosts
from qmail.role.remote_hosts import DOUBT_SECONDS, RemoteHosts
from qmail.role.resolver import make_resolver
from tests.support.dnsserver import DnsServer

ZONE: dict[str, Any] = {
    "7.1.168.192.in-addr.arpa": [["PTR", "other.xeris.com."], ["PTR", "PC7.xeris.com."]],
    "pc7.xeris.com": [["A", "192.168.1.9"], ["A", "192.168.1.7"]],
    "8.1.168.192.in-addr.arpa": [["PTR", "mail.bank.example."]],
    "mail.bank.example": [["A", "203.0.113.1"]],
    "1.0.0.0." + "0." * 20 + "8.b.d.0.1.0.0.2.ip6.arpa": [["PTR", "six.xeris.com."]],
    "six.xeris.com": [["AAAA", "2001:db8::1"]],
    "9.1.168.192.in-addr.arpa": "servfail",
    "10.1.168.192.in-addr.arpa": [["PTR", "slow.xeris.com."]],
    "slow.xeris.com": "servfail",
    "11.1.168.192.in-addr.arpa": [["PTR", f"{n}.many.example."] for n in range(9)],
    "8.many.example": [["A", "192.168.1.11"]],
}


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def find(*ips: str, clock: Clock | None = None) -> tuple[list[RemoteHost], DnsServer]:
    async def run() -> tuple[list[RemoteHost], DnsServer]:
        server = DnsServer(ZONE)
        await server.start()
        hosts = RemoteHosts(make_resolver({"DNS_SERVER": f"127.0.0.1:{server.port}"}, 5.0), clock or Clock())
        found = [await hosts.find(ip) for ip in ips]
        server.stop()
        return found, server

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("ip", "host"),
    [
        ("192.168.1.7", RemoteHost("pc7.xeris.com")),
        ("2001:db8::1", RemoteHost("six.xeris.com")),
        # A reverse zone can say anything; the name's own zone does not confirm it.
        ("192.168.1.8", NO_HOST),
        ("10.1.2.3", NO_HOST),
        ("192.168.1.9", RemoteHost(doubtful=True)),
        ("192.168.1.10", RemoteHost(doubtful=True)),
        ("192.168.1.11", NO_HOST),
    ],
)
def test_find(ip: str, host: RemoteHost) -> None:
    assert find(ip)[0] == [host]


def test_what_was_found_is_remembered_and_a_doubt_for_moments_only() -> None:
    async def run() -> None:
        clock, server = Clock(), DnsServer(ZONE)
        await server.start()
        hosts = RemoteHosts(make_resolver({"DNS_SERVER": f"127.0.0.1:{server.port}"}, 5.0), clock)
        for ip in ("192.168.1.7", "192.168.1.9"):
            assert hosts.known(ip) is None
            await hosts.find(ip)
        server.stop()
        clock.seconds += DOUBT_SECONDS - 1
        assert await hosts.find("192.168.1.7") == RemoteHost("pc7.xeris.com")
        assert hosts.known("192.168.1.9") == RemoteHost(doubtful=True)
        clock.seconds += 1
        assert hosts.known("192.168.1.7") and hosts.known("192.168.1.9") is None
        clock.seconds += 60
        assert hosts.known("192.168.1.7") is None

    asyncio.run(run())


def test_so_many_at_once_and_so_long_and_one_question_for_all_of_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        server = DnsServer({"1.0.0.10.in-addr.arpa": "*drop"})
        await server.start()
        hosts = RemoteHosts(make_resolver({"DNS_SERVER": f"127.0.0.1:{server.port}"}, 60.0), Clock())
        waiting = [asyncio.create_task(hosts.find("10.0.0.1")) for _ in range(3)]
        await asyncio.sleep(0)
        assert await hosts.find("10.0.0.2") == RemoteHost(doubtful=True)
        assert await asyncio.gather(*waiting) == [RemoteHost(doubtful=True)] * 3
        assert hosts.known("10.0.0.2") is None
        server.stop()

    monkeypatch.setattr(remote_hosts, "MAX_LOOKUPS", 1)
    monkeypatch.setattr(remote_hosts, "LOOKUP_SECONDS", 0.2)
    asyncio.run(run())
