"""Chapter 7.2e in containers: Courier's authdaemonrc before its change and after, through the image's PAM files."""

from __future__ import annotations

import poplib
from collections.abc import Iterator

import pytest

from tests.support.courier_files import AFTER, BEFORE
from tests.support.deployment import Deployment, unverified

RC = "/usr/lib/courier-imap/etc/authdaemonrc"


@pytest.fixture(scope="module")
def courier(xeris: Deployment) -> Iterator[Deployment]:
    yield xeris
    xeris.run("admin", "sh", "-c", f"rm -f $(readlink {RC})")
    read(xeris)


def read(made: Deployment) -> None:
    """Have auth start again."""
    made.control("restart", "auth")
    made.control("up", "--wait", "--no-recreate", "auth")


def answer(made: Deployment, password: str) -> str:
    """What POP3 says to a log-in of joni."""
    client = poplib.POP3_SSL(made.address, 995, context=unverified(), timeout=60)
    client.user("joni")
    try:
        return client.pass_(password).decode()
    except poplib.error_proto as error:
        return str(error)


@pytest.mark.parametrize("text", [BEFORE, AFTER], ids=["before", "after"])
def test_the_same_people_log_in_before_the_change_and_after(courier: Deployment, text: str) -> None:
    courier.run("admin", "sh", "-c", f"cat >{RC}", stdin=text)
    read(courier)
    assert answer(courier, "joni-password").startswith("+OK")
    assert "[AUTH]" in answer(courier, "wrong")
    with courier.imap("joni", "joni-password") as client:
        assert client.state == "SELECTED"
