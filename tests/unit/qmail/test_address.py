"""Addresses: what none may hold, and how one stands in a line."""

from __future__ import annotations

import pytest

from qmail.message.address import Address, domain_and_parents, in_a_line

CONTROLS = [*range(0x20), 0x7F]


@pytest.mark.parametrize("octet", range(256))
def test_control_characters_are_none_of_an_address(octet: int) -> None:
    assert Address(b"a" + bytes([octet]) + b"@b").has_controls() == (octet in CONTROLS)


@pytest.mark.parametrize("octet", range(256))
def test_no_address_makes_a_line_of_its_own(octet: int) -> None:
    shown = in_a_line(b"a" + bytes([octet]) + b"b")
    # The recorded qmail-local leaves a tab where it is.
    assert shown == (b"a_b" if octet in CONTROLS and octet != 9 else b"a" + bytes([octet]) + b"b")


@pytest.mark.parametrize(
    ("raw", "local", "domain"),
    [
        (b"joni@xeris.com", b"joni", b"xeris.com"),
        (b"a@b@xeris.com", b"a@b", b"xeris.com"),
        (b"joni", b"joni", None),
        (b"joni@", b"joni", b""),
        (b"@xeris.com", b"", b"xeris.com"),
        (b"", b"", None),
        (b"\xff@x", b"\xff", b"x"),
    ],
)
def test_an_address_is_cut_at_its_last_at_sign(raw: bytes, local: bytes, domain: bytes | None) -> None:
    address = Address(raw)
    assert (address.raw, address.local, address.domain, bool(address)) == (raw, local, domain, bool(raw))
    assert domain is None or Address.join(local, domain) == address
    assert {address: 1}[Address(raw)] == 1 and address != Address(raw + b"x")


@pytest.mark.parametrize(
    ("raw", "quoted"),
    [
        (b"joni@xeris.com", b"joni@xeris.com"),
        (b"jo ni@xeris.com", b'"jo ni"@xeris.com'),
        (b'a"\\b@c', b'"a\\"\\\\b"@c'),
        (b"a@b@c", b'"a@b"@c'),
        (b".a@b", b'".a"@b'),
        (b"a b", b'"a b"'),
        (b"@b", b'""@b'),
        (b"", b""),
    ],
)
def test_a_local_part_is_quoted_where_it_needs_to_be(raw: bytes, quoted: bytes) -> None:
    assert Address(raw).quoted() == quoted


@pytest.mark.parametrize(
    ("sender", "base"),
    [(b"list-@x-@[]", b"list-@x"), (b"-@[]", b""), (b"#@[]-@[]", b"#@[]"), (b"a@[]", b"a@[]"), (b"", b"")],
)
def test_bounces_of_a_verp_sender_go_to_its_base(sender: bytes, base: bytes) -> None:
    assert Address(sender).without_verp() == Address(base)


@pytest.mark.parametrize(
    ("domain", "keys"),
    [
        (b"a.b.c", [b"a.b.c", b".b.c", b".c"]),
        (b"c", [b"c"]),
        (b".a.b", [b".a.b", b".b"]),
        (b"a.", [b"a.", b"."]),
        (b"", [b""]),
    ],
)
def test_a_domain_is_looked_up_with_its_parents(domain: bytes, keys: list[bytes]) -> None:
    assert list(domain_and_parents(domain)) == keys
