"""Addresses: what none may hold, and how one stands in a line."""

from __future__ import annotations

import pytest

from qmail.message.address import has_controls, in_a_line

CONTROLS = [*range(0x20), 0x7F]


@pytest.mark.parametrize("octet", range(256))
def test_control_characters_are_none_of_an_address(octet: int) -> None:
    assert has_controls(b"a" + bytes([octet]) + b"@b") == (octet in CONTROLS)


@pytest.mark.parametrize("octet", range(256))
def test_no_address_makes_a_line_of_its_own(octet: int) -> None:
    shown = in_a_line(b"a" + bytes([octet]) + b"b")
    # The recorded qmail-local leaves a tab where it is.
    assert shown == (b"a_b" if octet in CONTROLS and octet != 9 else b"a" + bytes([octet]) + b"b")
