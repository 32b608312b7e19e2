"""`docker compose up --wait`: every role healthy; the zone is served, and nothing else to strangers."""

from __future__ import annotations

import json

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from tests.support.deployment import ROLES, Deployment

RECORDS = {
    ("xeris.com", "SOA"): ["xeris.com. root.xeris.com. 42 10800 900 604800 86400"],
    ("xeris.com", "NS"): ["xeris.com."],
    ("xeris.com", "A"): ["127.0.53.1"],
    ("xeris.com", "MX"): ["50 mail.xeris.com."],
    ("mail.xeris.com", "A"): ["127.0.53.1"],
    ("1.53.0.127.in-addr.arpa", "PTR"): ["mail.xeris.com."],
}


def ask(deployment: Deployment, name: str, kind: str, *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, deployment.address, timeout=10)


def test_every_role_is_healthy(xeris: Deployment) -> None:
    said = xeris.control("ps", "--format", "json").splitlines()
    health = {row["Service"]: row["Health"] for row in map(json.loads, said)}
    assert health == dict.fromkeys(ROLES, "healthy")


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize(("name", "kind"), list(RECORDS), ids=" ".join)
def test_the_zone_is_served_with_authority(xeris: Deployment, name: str, kind: str, tcp: bool) -> None:
    answer = ask(xeris, name, kind, tcp=tcp)
    wanted = dns.rdatatype.from_text(kind)
    assert [str(rr) for rrset in answer.answer if rrset.rdtype == wanted for rr in rrset] == RECORDS[name, kind]
    assert answer.flags & dns.flags.AA


def test_www_is_another_name_of_the_domain(xeris: Deployment) -> None:
    answer = ask(xeris, "www.xeris.com", "A")
    assert [str(rrset[0]) for rrset in answer.answer] == ["xeris.com.", "127.0.53.1"]


@pytest.mark.parametrize("name", ["example.org", "bus", "1.53.0.10.in-addr.arpa", "."])
def test_strangers_are_told_nothing_about_other_names(xeris: Deployment, name: str) -> None:
    answer = ask(xeris, name, "A")
    assert answer.rcode() == dns.rcode.REFUSED
    assert not answer.flags & dns.flags.RA


def test_the_zone_is_not_given_away_whole(xeris: Deployment) -> None:
    answer = ask(xeris, "xeris.com", "AXFR", tcp=True)
    assert len(answer.answer) <= 1


def test_the_roles_ask_the_deployment_s_own_server(xeris: Deployment) -> None:
    server = f"@{xeris.subnet}.70"
    assert xeris.run("admin", "dig", "+short", server, "xeris.com", "MX") == "50 mail.xeris.com.\n"
    assert xeris.run("admin", "dig", "+short", server, "localhost", "A") == "127.0.0.1\n"
    assert xeris.run("admin", "dig", "+short", server, "-x", "127.0.0.1") == "localhost.\n"
    assert "xeris.com. 86400 IN MX 50 mail.xeris.com." in xeris.run("admin", "qmailctl", "dns")


def test_the_inside_server_answers_nobody_outside_the_bus_network(xeris: Deployment) -> None:
    # From the engine's host, which has an address in the network `out` and no place in the network `bus`.
    addresses = xeris.run("dns", "/bin/nslookup", "dns", "127.0.0.11")
    (outside,) = [word for word in addresses.split() if word.startswith(f"{xeris.subnet}.1") and ":" not in word]
    answer = dns.query.udp(dns.message.make_query("xeris.com", "MX"), outside, timeout=10)
    assert answer.rcode() == dns.rcode.REFUSED
