"""Two complete deployments on one engine find each other by MX, each through its own CoreDNS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.deployment import Deployment, deployed, eventually

# Published on each deployment's own gateway address: the one that the other's containers can reach too.
Settings = dict[str, Any]
XERIS: Settings = {
    "project": "test-one",
    "me": "mail.xeris.com",
    "address": "172.29.62.129",
    "subnet": "172.29.62",
}
TELKOM: Settings = {
    "project": "test-two",
    "me": "mail.telkom.test",
    "address": "172.29.63.129",
    "subnet": "172.29.63",
}

TRIES = 5


def know(deployment: Deployment, other: Deployment) -> None:
    """Tell a deployment's name server where the other domain is served, and wait until it has read it."""
    block = f"{other.domain}:53 {{\n    forward . {other.address}\n}}\n"
    deployment.run("admin", "sh", "-c", f"cat >/var/named/forward-{other.domain}.conf", stdin=block)

    def known() -> bool:
        # dig fails where the name server is slow.
        answer = deployment.try_run("admin", "dig", "+short", f"@{deployment.subnet}.70", other.domain, "MX").stdout
        return answer == f"50 {other.me}.\n"

    eventually(known, f"{deployment.domain} knows {other.domain}")


@pytest.fixture(scope="module")
def pair(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Deployment]]:
    directory = tmp_path_factory.mktemp("domains")
    with deployed(directory, **XERIS) as xeris, deployed(directory, **TELKOM) as telkom:
        xeris.useradd("joni", "joni-password")
        telkom.useradd("budi", "budi-password")
        know(xeris, telkom)
        know(telkom, xeris)
        yield xeris, telkom


def letter(subject: str) -> str:
    return f"Subject: {subject}\n\nfrom afar\n"


def test_mail_goes_both_ways_by_mx(pair: tuple[Deployment, Deployment]) -> None:
    xeris, telkom = pair
    xeris.submit("joni", "joni-password", ["budi@telkom.test"], letter("there"))
    there = telkom.message_with("budi", "budi-password", b"Subject: there")
    assert there.startswith(b"Return-Path: <joni@xeris.com>\nDelivered-To: budi@telkom.test\n")
    assert b"(HELO mail.xeris.com)" in there or b"from mail.xeris.com" in there

    telkom.submit("budi", "budi-password", ["joni@xeris.com"], letter("and back"))
    back = xeris.message_with("joni", "joni-password", b"Subject: and back")
    assert back.startswith(b"Return-Path: <budi@telkom.test>\nDelivered-To: joni@xeris.com\n")


def test_a_refused_recipient_comes_back_as_a_bounce(pair: tuple[Deployment, Deployment]) -> None:
    xeris, telkom = pair
    refused = telkom.address.encode() + b" does not like recipient.\n"
    for number in range(TRIES):
        xeris.submit("joni", "joni-password", ["nobody@telkom.test"], letter(f"to nobody there, {number}"))
        bounce = xeris.message_with("joni", "joni-password", b"Subject: to nobody there, %d\n" % number)
        assert b"<nobody@telkom.test>:\n" in bounce
        if refused in bounce:
            return
        # Where telkom's delivery-local does not say in time, telkom takes the message and writes the bounce.
    raise AssertionError(f"never refused; the last bounce is {bounce!r}")


def test_a_bounce_finds_its_way_back_to_the_other_domain(pair: tuple[Deployment, Deployment]) -> None:
    xeris, telkom = pair
    # Accepted by telkom.test, and found undeliverable only behind a forward: its bounce writer answers, by MX.
    write = "umask 077; cat >/home/budi/.qmail-lost && chown budi:budi /home/budi/.qmail-lost"
    telkom.run("admin", "sh", "-c", write, stdin="&nobody@telkom.test\n")
    xeris.submit("joni", "joni-password", ["budi-lost@telkom.test"], letter("lost there"))
    bounce = xeris.message_with("joni", "joni-password", b"Subject: lost there")
    assert bounce.startswith(b"Return-Path: <>\nDelivered-To: joni@xeris.com\n")
    assert b"Hi. This is the qmail-send program at mail.telkom.test.\n" in bounce


def test_two_projects_share_nothing(pair: tuple[Deployment, Deployment]) -> None:
    xeris, telkom = pair
    assert [line.split(":")[0] for line in xeris.run("admin", "qmailctl", "users").splitlines()] == ["ari", "joni"]
    assert [line.split(":")[0] for line in telkom.run("admin", "qmailctl", "users").splitlines()] == ["ari", "budi"]
