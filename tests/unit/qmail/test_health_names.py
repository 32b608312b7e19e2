from __future__ import annotations

import asyncio

import dns.exception
import pytest

from qmail.role.health_names import names_check
from tests.support.dnsserver import DnsServer

ZONE = {"xeris.com": [["MX", 50, "mail.xeris.com"]], "broken.test": "servfail"}


def ask(domain: str) -> None:
    async def main() -> None:
        server = DnsServer(ZONE)
        await server.start()
        check = names_check(domain, {"DNS_SERVER": f"127.0.0.1:{server.port}"})
        assert check is not None
        await check()
        assert server.queries

    asyncio.run(main())


@pytest.mark.parametrize("domain", ["xeris.com", "nobody.test"])
def test_an_answer_is_health_even_if_it_is_no(domain: str) -> None:
    ask(domain)


def test_a_server_that_fails_is_not() -> None:
    with pytest.raises(dns.exception.DNSException):
        ask("broken.test")


def test_without_a_server_of_ours_there_is_nothing_to_check() -> None:
    assert names_check("xeris.com", {}) is None
