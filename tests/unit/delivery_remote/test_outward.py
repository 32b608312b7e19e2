"""qmail's private conventions never leave the house: what other hosts are told is a Reverse-path of RFC 5321."""

from __future__ import annotations

import pytest

from qmail.message.address import Address
from services.delivery.remote.outward import outward


@pytest.mark.parametrize(
    ("sender", "told"),
    [
        (b"ari@xeris.com", b"ari@xeris.com"),
        (b"", b""),
        (b"#@[]", b""),
        (b"-@[]", b""),
        (b"#@[]-@[]", b""),
        (b"joe@[]", b""),
        (b"@xeris.com", b""),
        (b"list-@xeris.com-@[]", b"list-@xeris.com"),
        (b"x-@[]", b"x@mail.xeris.com"),
        (b"root", b"root@mail.xeris.com"),
        (b"root@", b"root@mail.xeris.com"),
        (b"a@b@c", b"a@b@c"),
        (b"x@[192.0.2.1]", b"x@[192.0.2.1]"),
    ],
)
def test_the_sender_that_other_hosts_are_told(sender: bytes, told: bytes) -> None:
    assert outward(Address(sender), b"mail.xeris.com").raw == told
