"""AddressTokens lists as qmail-header(5) describes them."""

from __future__ import annotations

import pytest

from services.inject.addresses import AddressTokens, Defaults, rewrite, rewrite_list
from services.inject.tokens import ParseError, parse_tokens, unparse_tokens, unquote_tokens

DEFAULTS = Defaults(
    host=tuple(reversed(parse_tokens(b"@host.test"))),
    domain=tuple(reversed(parse_tokens(b".domain.test"))),
    plus=tuple(reversed(parse_tokens(b".plus.test"))),
)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        (b"joni", b"joni@host.test"),
        (b"joni@h", b"joni@h.domain.test"),
        (b"joni@h+", b"joni@h.plus.test"),
        (b"joni+", b"joni+@host.test"),
        (b"joni@xeris.com.", b"joni@xeris.com"),
        (b"joni@[1.2.3.4]", b"joni@[1.2.3.4]"),
        (b"joni@[]", b"joni@[]"),
        (b"@a,@b:joni@d.e", b"joni@d.e"),
        (b"@a", b""),
        (b".", b""),
        (b"@", b""),
        (b"", b""),
    ],
)
def test_rewriting(text: bytes, full: bytes) -> None:
    assert unquote_tokens(rewrite(parse_tokens(text)[::-1], DEFAULTS)[::-1]) == full


def read_list(field: bytes) -> tuple[list[bytes], bytes]:
    found: list[bytes] = []

    def take(address: AddressTokens) -> AddressTokens:
        address = rewrite(address, DEFAULTS)
        found.append(unquote_tokens(address[::-1]))
        return address

    return found, unparse_tokens(rewrite_list(parse_tokens(field), take))


@pytest.mark.parametrize(
    ("field", "addresses", "written"),
    [
        (b"To: a@x.y, b@x.y\n", [b"b@x.y", b"a@x.y"], b"To: a@x.y, b@x.y\n"),
        (b"to: J <a@x.y> (c)\n", [b"a@x.y"], b"to: J <a@x.y>(c)\n"),
        (b"To: team: a@x.y, b@x.y;\n", [b"b@x.y", b"a@x.y"], b"To: team: a@x.y, b@x.y;\n"),
        (b"To: a@x.y b@x.y\n", [b"b@x.y", b"a@x.y"], b"To: a@x.y, b@x.y\n"),
        (b"To: <>\n", [b""], b"To: <>\n"),
        (b"To: nobody:;\n", [], b"To: nobody: ;\n"),
        (b"To:\n", [], b"To:\n"),
    ],
)
def test_lists(field: bytes, addresses: list[bytes], written: bytes) -> None:
    assert read_list(field) == (addresses, written)


@pytest.mark.parametrize("field", [b"To: a:b\n", b"To: a>\n", b"To: a;b;\n"])
def test_what_is_no_list_is_refused(field: bytes) -> None:
    with pytest.raises(ParseError):
        read_list(field)
