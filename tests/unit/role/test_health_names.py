from __future__ import annotations

import asyncio
from pathlib import Path

import dns.exception
import pytest

from qmail.control.files import Control
from qmail.control.settings import SettingsError
from qmail.role.health_names import names_checks
from tests.support.dnsserver import DnsServer

ZONE = {"xeris.com": [["MX", 50, "mail.xeris.com"]], "broken.test": "servfail"}


def ask(tmp_path: Path, domain: str) -> None:
    async def main() -> None:
        server = DnsServer(ZONE)
        await server.start()
        (tmp_path / "defaultdomain").write_text(f"{domain}\n")
        (check,) = names_checks(Control(tmp_path), {"DNS_SERVER": f"127.0.0.1:{server.port}"})
        await check()
        assert server.queries

    asyncio.run(main())


@pytest.mark.parametrize("domain", ["xeris.com", "nobody.test"])
def test_an_answer_is_health_even_if_it_is_no(tmp_path: Path, domain: str) -> None:
    ask(tmp_path, domain)


def test_a_server_that_fails_is_not(tmp_path: Path) -> None:
    with pytest.raises(dns.exception.DNSException):
        ask(tmp_path, "broken.test")


def test_without_a_server_of_ours_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert names_checks(Control(tmp_path), {}) == ()


def test_a_server_that_is_no_address_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"DNS_SERVER: .*; expected address or address:port"):
        names_checks(Control(tmp_path), {"DNS_SERVER": "dns:53"})
