"""tcp.smtp as tcprules(1) reads it, found as tcpserver finds it, and the rules that must not be."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.control.rules import RuleError, Rules, covers, parse_rules, refuse_relaying_for

FILE = b"""# the tutorial's rules, and more
127.:allow,RELAYCLIENT=""
192.168.1.1-20:allow,RELAYCLIENT="@relay",DATABYTES='5000'
192.168.1.7:deny
10.1-2.:deny
=client.xeris.com:allow,RELAYCLIENT=""
=.spam.org:deny
fd00::allow,RELAYCLIENT=""
2001:db8::1:deny
:allow,X="y"
"""


@pytest.fixture
def rules() -> Rules:
    return parse_rules(FILE)


@pytest.mark.parametrize(
    ("ip", "host", "allow", "variables"),
    [
        ("127.0.0.1", "", True, {"RELAYCLIENT": b""}),
        ("192.168.1.20", "", True, {"RELAYCLIENT": b"@relay", "DATABYTES": b"5000"}),
        # The first line for an address counts; the range came before the single address.
        ("192.168.1.7", "", True, {"RELAYCLIENT": b"@relay", "DATABYTES": b"5000"}),
        ("192.168.1.21", "", True, {"X": b"y"}),
        ("10.2.3.4", "", False, {}),
        ("10.3.3.4", "", True, {"X": b"y"}),
        ("1.2.3.4", "client.xeris.com", True, {"RELAYCLIENT": b""}),
        ("1.2.3.4", "mx.spam.org", False, {}),
        ("2001:db8::1", "", False, {}),
        ("fd00:1::2", "", True, {"RELAYCLIENT": b""}),
        ("9.9.9.9", "", True, {"X": b"y"}),
    ],
)
def test_find(rules: Rules, ip: str, host: str, allow: bool, variables: dict[str, bytes]) -> None:
    rule = rules.find(ip, host)
    assert (rule.allow, dict(rule.variables)) == (allow, variables)


@pytest.mark.parametrize(
    ("text", "ip", "depends"),
    [
        (b"127.:allow\n:deny\n", "1.2.3.4", False),
        (b"=pc.xeris.com:allow\n1.2.:deny\n", "1.2.3.4", True),
        (b"=pc.xeris.com:allow\n1.2.3.4:deny\n", "1.2.3.4", False),
        # A prefix comes before =.domain, and before = alone.
        (b"=.xeris.com:allow\n=:deny\n1.2.:deny\n", "1.2.3.4", False),
        (b"=.xeris.com:allow\n1.2.:deny\n", "9.2.3.4", True),
        (b"=:deny\n", "2001:db8::1", True),
    ],
)
def test_a_name_is_needed_only_where_a_rule_depends_on_it(text: bytes, ip: str, depends: bool) -> None:
    assert parse_rules(text).depends_on_host(ip) is depends


def test_without_rules_everybody_may_connect_and_nobody_relay() -> None:
    assert parse_rules(b"").find("1.2.3.4").allow
    assert "RELAYCLIENT" not in parse_rules(b"").find("127.0.0.1").variables


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"127.0.0.1", "no colon"),
        (b"127.:maybe", "expected allow or deny"),
        (b"127.:allow,RELAYCLIENT", 'expected NAME="value"'),
        (b'127.:allow,RELAYCLIENT="', "no closing"),
        (b'127.:allow,A="b"C="d"', "expected a comma"),
        (b"1.2.3.9-1:allow", "expected low-high"),
        (b"1.2.3.1-300:allow", "expected low-high"),
        (b"1-255.1-255.1-255.:allow", "expected a prefix"),
        (b"joe@1.2.3.4:allow", "user names are not looked up"),
        (b"1.2.3:allow", "expected an IP address"),
        (b"mail.xeris.com:allow", "expected an IP address"),
    ],
)
def test_bad_line_is_named_by_number(line: bytes, words: str) -> None:
    with pytest.raises(RuleError, match=r"^line 3: ") as caught:
        parse_rules(b"# one\n\n" + line + b"\n")
    assert words in str(caught.value)


@given(st.binary(max_size=100))
def test_any_file_is_read_or_refused(content: bytes) -> None:
    try:
        parse_rules(content)
    except RuleError as error:
        assert str(error).startswith("line ")


@pytest.mark.parametrize(
    ("address", "network", "covered"),
    [
        ("", "172.18.0.0/16", True),
        ("172.", "172.18.0.0/16", True),
        ("172.18.0.1", "172.18.0.0/16", True),
        ("172.19.", "172.18.0.0/16", False),
        ("127.", "172.18.0.0/16", False),
        ("=gateway", "172.18.0.0/16", False),
        ("fd00:", "fd00::/64", True),
        ("fd01:", "fd00::/64", False),
        ("172.", "fd00::/64", False),
    ],
)
def test_covers(address: str, network: str, covered: bool) -> None:
    assert covers(address, ipaddress.ip_network(network)) is covered


def test_relaying_for_the_containers_own_network_is_refused() -> None:
    own = [ipaddress.IPv4Network("172.18.0.0/16")]
    refuse_relaying_for(parse_rules(b'127.:allow,RELAYCLIENT=""\n172.18.:allow\n'), own)
    for dangerous in (b'172.18.0.1:allow,RELAYCLIENT=""', b'172.:allow,RELAYCLIENT=""', b':allow,RELAYCLIENT=""'):
        with pytest.raises(RuleError, match=r"^line 2: RELAYCLIENT .* covers"):
            refuse_relaying_for(parse_rules(b"9.:deny\n" + dangerous), own)


def test_a_line_of_thousands_of_ranges_is_refused_and_not_expanded() -> None:
    with pytest.raises(RuleError, match=r"line 2: .* expected one address"):
        parse_rules(b":allow\n" + b"1-1." * 5000 + b":deny\n")
