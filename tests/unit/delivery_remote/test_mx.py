"""Order of exchangers and the best-preference rule."""

from __future__ import annotations

import random

import pytest

from services.delivery.remote.mx import (
    MAX_ADDRESSES,
    Exchanger,
    HostAddress,
    is_null_mx,
    known_as,
    order_exchangers,
    usable_addresses,
)

OWN = known_as({"192.0.2.9"}, [b"Mail.Xeris.com"])


def test_preference_decides_and_chance_among_equals() -> None:
    given = [Exchanger(20, b"c"), Exchanger(10, b"a"), Exchanger(10, b"b")]
    seen = {tuple(x.name for x in order_exchangers(given, random.Random(seed))) for seed in range(40)}
    assert seen == {(b"a", b"b", b"c"), (b"b", b"a", b"c")}


def test_an_own_address_excludes_all_that_are_not_better() -> None:
    better, mine = HostAddress("192.0.2.1", 10, b"a"), HostAddress("192.0.2.9", 20, b"me")
    equal, worse = HostAddress("192.0.2.2", 20, b"b"), HostAddress("192.0.2.3", 30, b"c")
    assert usable_addresses([better, mine, equal, worse], OWN) == [better]
    assert usable_addresses([mine, equal, worse], OWN) == []
    assert usable_addresses([better, equal, worse], OWN) == [better, equal, worse]


def test_an_exchanger_with_a_name_of_ours_is_ourselves_whatever_its_address() -> None:
    better, ours = HostAddress("192.0.2.1", 10, b"a"), HostAddress("203.0.113.9", 20, b"mail.xeris.COM")
    assert usable_addresses([better, ours], OWN) == [better]
    assert usable_addresses([ours], OWN) == []


@pytest.mark.parametrize("ip", ["0.0.0.0", "::"])
def test_the_unspecified_address_leads_to_whoever_connects(ip: str) -> None:
    assert usable_addresses([HostAddress(ip, 10, b"zero.mx")], OWN) == []


def test_only_a_single_root_is_a_null_mx() -> None:
    assert is_null_mx([Exchanger(0, b"")])
    assert not is_null_mx([Exchanger(0, b""), Exchanger(10, b"mx")])
    assert not is_null_mx([])


def test_a_hostile_zone_is_bounded() -> None:
    addresses = [HostAddress(f"198.51.100.{n}", 0, b"x") for n in range(200)]
    assert len(usable_addresses(addresses, OWN)) == MAX_ADDRESSES
