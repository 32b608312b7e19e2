"""Order of exchangers and the best-preference rule."""

from __future__ import annotations

import random

from services.delivery.remote.mx import (
    MAX_ADDRESSES,
    MAX_EXCHANGERS,
    Address,
    Exchanger,
    is_null_mx,
    order_exchangers,
    usable_addresses,
)

OWN = frozenset({"192.0.2.9"})


def test_preference_decides_and_chance_among_equals() -> None:
    given = [Exchanger(20, b"c"), Exchanger(10, b"a"), Exchanger(10, b"b")]
    seen = {tuple(x.name for x in order_exchangers(given, random.Random(seed))) for seed in range(40)}
    assert seen == {(b"a", b"b", b"c"), (b"b", b"a", b"c")}


def test_an_own_address_excludes_all_that_are_not_better() -> None:
    better, mine = Address("192.0.2.1", 10, b"a"), Address("192.0.2.9", 20, b"me")
    equal, worse = Address("192.0.2.2", 20, b"b"), Address("192.0.2.3", 30, b"c")
    assert usable_addresses([better, mine, equal, worse], OWN) == [better]
    assert usable_addresses([mine, equal, worse], OWN) == []
    assert usable_addresses([better, equal, worse], OWN) == [better, equal, worse]


def test_only_a_single_root_is_a_null_mx() -> None:
    assert is_null_mx([Exchanger(0, b"")])
    assert not is_null_mx([Exchanger(0, b""), Exchanger(10, b"mx")])
    assert not is_null_mx([])


def test_a_hostile_zone_is_bounded() -> None:
    many = [Exchanger(n, b"x") for n in range(1000)]
    assert len(order_exchangers(many, random.Random(1))) == MAX_EXCHANGERS
    addresses = [Address(f"192.0.2.{n}", 0, b"x") for n in range(200)]
    assert len(usable_addresses(addresses, frozenset())) == MAX_ADDRESSES
