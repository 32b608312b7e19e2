"""What config-fast made, and the rules for smtp clients."""

from __future__ import annotations

import pytest

from services.admin.setup.config_fast import default_domain, parse_host, plus_domain, render_tcp_smtp


@pytest.mark.parametrize(
    ("host", "domain", "plus"),
    [
        ("mail.xeris.com", "xeris.com", "xeris.com"),
        ("xeris.com", "xeris.com", "xeris.com"),
        ("a.b.c.example.org", "b.c.example.org", "example.org"),
    ],
)
def test_domains_are_cut_as_config_fast_cuts_them(host: str, domain: str, plus: str) -> None:
    assert (default_domain(host), plus_domain(host)) == (domain, plus)


def test_a_host_is_written_in_lower_case_without_its_last_dot() -> None:
    assert parse_host("Mail.Xeris.COM.") == "mail.xeris.com"


def test_behind_address_translation_nobody_relays() -> None:
    assert "RELAYCLIENT" not in render_tcp_smtp(loopback_only=False)
    assert render_tcp_smtp(loopback_only=True).startswith('127.:allow,RELAYCLIENT=""\n')
