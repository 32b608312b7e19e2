"""Commands as laxly as qmail reads them (recorded cases cover far more of the same)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.message.address import Address
from services.smtpd.facts import read_client
from services.smtpd.grammar import (
    parse_command,
    parse_parameters,
    parse_path,
    replace_address_literal,
)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"heLo", (b"helo", b"")),
        (b"HELO   x y \r", (b"helo", b"x y ")),
        (b"QUIT\0 junk\r", (b"quit", b"")),
        (b"QUIT\r\r", (b"quit\r", b"")),
        (b"", (b"", b"")),
        (b" HELO x", (b"", b"HELO x")),
        (b"\xff\xfe", (b"\xff\xfe", b"")),
    ],
)
def test_command(line: bytes, command: tuple[bytes, bytes]) -> None:
    assert parse_command(line) == command


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        (b"FROM:<a@b>", (b"a@b", b"")),
        (b"from:ari@mail.xeris.com", (b"ari@mail.xeris.com", b"")),
        (b"from:  a@b SIZE=5", (b"a@b", b"SIZE=5")),
        (b"FROM:<a@b> SIZE=5 BODY=8BITMIME", (b"a@b", b" SIZE=5 BODY=8BITMIME")),
        (b"FROM:<>", (b"", b"")),
        (b"junk<a@b>junk", (b"a@b", b"junk")),
        (b"a@b", (b"", b"")),
        (b"TO:<@x,@y:a@b>", (b"a@b", b"")),
        (b"TO:@x:a@b", (b"a@b", b"")),
        (b"TO:<@x>", (b"", b"")),
        (b'TO:<"a b">@c>', (b"a b", b"@c>")),
        (b'TO:<"a>b"@c>', (b"a>b@c", b"")),
        (b"TO:<a\\>b@c>", (b"a>b@c", b"")),
        (b"TO:<a@b", (b"a@b", b"")),
        (b"TO:<\xe9@b>", (b"\xe9@b", b"")),
    ],
)
def test_path(argument: bytes, path: tuple[bytes, bytes]) -> None:
    assert parse_path(argument) == (Address(path[0]), path[1])


@given(st.binary(max_size=200))
def test_parsers_take_any_bytes(data: bytes) -> None:
    verb, argument = parse_command(data.replace(b"\n", b""))
    address, rest = parse_path(argument)
    parse_parameters(rest)
    replace_address_literal(address, {"127.0.0.1"}, b"h")
    assert verb == verb.lower()


@pytest.mark.parametrize(
    ("address", "result"),
    [
        (b"a@[127.0.0.1]", b"a@here"),
        (b"a@[383.000.0.257]", b"a@here"),
        (b"a@[10.0.0.1]", b"a@[10.0.0.1]"),
        (b"a@[127.0.0.1]x", b"a@[127.0.0.1]x"),
        (b"a@[127.0.0]", b"a@[127.0.0]"),
        (b"a@b", b"a@b"),
        (b"[127.0.0.1]", b"[127.0.0.1]"),
    ],
)
def test_own_address_literal_becomes_localiphost(address: bytes, result: bytes) -> None:
    assert replace_address_literal(Address(address), {"127.0.0.1"}, b"here") == Address(result)


def test_parameters() -> None:
    assert parse_parameters(b" SIZE=10 body=8bitmime SMTPUTF8 size=11") == {
        b"SIZE": b"10",
        b"BODY": b"8bitmime",
        b"SMTPUTF8": b"",
    }


def test_address_literal_with_thousands_of_digits_is_read_as_ip_scan_does() -> None:
    digits = b"0" * 5000 + b"127"
    ours = Address(b"x@[" + digits + b".0.0.1]")
    assert replace_address_literal(ours, frozenset({"127.0.0.1"}), b"me") == Address(b"x@me")
    assert read_client({"DATABYTES": b"9" * 5000}).databytes == 10**18 - 1
