"""Looking at users/assign and the control files: seldom, but never with an old answer for long."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.accounts.assign import Accounts
from qmail.control.files import Control
from qmail.message.address import Address
from services.delivery.local.lookup import FRESH_SECONDS, Lookup
from services.delivery.local.refusal import Refusal


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lookup(tmp_path: Path, clock: Clock) -> Lookup:
    (tmp_path / "me").write_text("mail.xeris.com\n")
    (tmp_path / "assign").write_text("=joni:joni:2002:2002:/home/joni:::\n.\n")
    return Lookup(Accounts(tmp_path / "assign"), Control(tmp_path), clock)


def test_a_new_account_is_known_a_moment_later(lookup: Lookup, clock: Clock, tmp_path: Path) -> None:
    with pytest.raises(Refusal):
        lookup.match(b"diva")
    lines = "=joni:joni:2002:2002:/home/joni:::\n=diva:diva:2004:2004:/home/diva:::\n.\n"
    (tmp_path / "assign").write_text(lines)
    clock.now += FRESH_SECONDS
    assert lookup.match(b"diva").account.uid == 2004


def test_an_account_that_moves_is_followed(lookup: Lookup, clock: Clock, tmp_path: Path) -> None:
    assert lookup.match(b"joni").account.uid == 2002
    (tmp_path / "assign").write_text("=joni:joni:2012:2012:/home/elsewhere:::\n.\n")
    (tmp_path / "defaultdelivery").write_text("./Mailbox\n")
    (tmp_path / "locals").write_text("xeris.com\n")
    clock.now += FRESH_SECONDS
    assert lookup.match(b"joni").account.uid == 2012
    assert lookup.default_delivery() == b"./Mailbox"
    assert lookup.local_address(Address(b"joni@xeris.com")) == Address(b"joni@xeris.com")


def test_names_asked_for_by_strangers_do_not_fill_the_memory(lookup: Lookup, tmp_path: Path) -> None:
    (tmp_path / "assign").write_text("+:alias:900:900:/var/qmail/alias:-::\n.\n")
    for number in range(3000):
        lookup.match(b"%d" % number)
    assert len(lookup._matches) <= 1000


def test_without_an_account_a_name_is_the_aliass(lookup: Lookup, tmp_path: Path) -> None:
    (tmp_path / "assign").write_text("=x:alias:900:900:/var/qmail/alias:::\n.\n")
    match = lookup.match(b"Sarah")
    assert (match.account.name, match.dash, match.ext) == (b"alias", b"-", b"Sarah")
