"""ask.rcpt: whether a recipient exists, and never `no` out of a doubt."""

from __future__ import annotations

import pytest

from qmail.accounts.identity import ActingPool
from qmail.message.address import Address
from services.delivery.local.answer import Answerer
from services.delivery.local.deliver import LocalDelivery
from tests.unit.delivery_local.conftest import Deployment


def rcpt(deployment: Deployment, address: str) -> str:
    async def work(_: LocalDelivery, pool: ActingPool) -> str:
        exists = await Answerer(deployment.lookup(), pool).look_up(Address(address.encode("latin-1")))
        return exists.value

    return str(deployment.using(work))


def test_an_account_exists_and_another_name_does_not(deployment: Deployment) -> None:
    assert rcpt(deployment, "joni@xeris.com") == "ok"
    assert rcpt(deployment, "JONI@xeris.com") == "ok"
    assert rcpt(deployment, "sarah@xeris.com") == "no"
    assert rcpt(deployment, "joni-list@xeris.com") == "no"


def test_an_alias_and_an_extension_exist_by_their_files(deployment: Deployment) -> None:
    deployment.write("alias", ".qmail-postmaster", b"&ari\n")
    deployment.write("joni", ".qmail-caf\u00e9".encode("latin-1").decode("latin-1", "surrogateescape"), b"#\n")
    deployment.write("joni", ".qmail-list-default", b"&ari\n")
    assert rcpt(deployment, "postmaster@xeris.com") == "ok"
    assert rcpt(deployment, "joni-list-x@xeris.com") == "ok"


@pytest.mark.parametrize("address", ["joni@elsewhere.org", "@xeris.com", "joni-\0@xeris.com"])
def test_what_is_not_ours_or_not_clear_is_unknown(deployment: Deployment, address: str) -> None:
    assert rcpt(deployment, address) == "unknown"


def test_a_home_that_cannot_be_looked_into_is_no_reason_to_refuse(deployment: Deployment) -> None:
    deployment.home("joni").rename(deployment.root / "away")
    assert rcpt(deployment, "joni@xeris.com") == "unknown"
    (deployment.root / "assign").write_text("nonsense\n")
    assert rcpt(deployment, "diva@xeris.com") == "unknown"


def test_an_unreadable_control_file_is_no_reason_to_refuse(deployment: Deployment) -> None:
    (deployment.root / "control/locals").unlink()
    (deployment.root / "control/locals").mkdir()
    assert rcpt(deployment, "sarah@xeris.com") == "unknown"
