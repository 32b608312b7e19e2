"""AddressTokens lists and their rewriting, as qmail-inject(8) and qmail-header(5) have it.

Lists are read from right to left: so RFC 822 is easy, and so the recipients of a field come out in reverse.
Addresses are lists of tokens in that same, reversed order: the first token is the last of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.inject.tokens import Kind, ParseError, Token

AddressTokens = list[Token]
_COMMA = Token(Kind.COMMA, b",")
_WORDS = (Kind.ATOM, Kind.QUOTE, Kind.LITERAL)
_PHRASE = (Kind.COMMENT, Kind.ATOM, Kind.QUOTE, Kind.AT, Kind.DOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What is added to addresses, each reversed: @defaulthost, .defaultdomain, .plusdomain."""

    host: tuple[Token, ...]
    domain: tuple[Token, ...]
    plus: tuple[Token, ...]


def rewrite(address: AddressTokens, defaults: Defaults) -> AddressTokens:
    """The address in full: route dropped, host and domain added. Empty stays empty, `x@[]` as it is."""
    if not address or (len(address) >= 2 and address[1].kind is Kind.AT and address[0] == (Kind.LITERAL, b"")):
        return address
    address = _without_route(address)
    for odd in (Kind.DOT, Kind.AT):
        if address and address[0].kind is odd:
            address = address[1:]
    if not address:
        return address
    if not any(token.kind is Kind.AT for token in address):
        address = [*defaults.host, *address]
    address = _with_plus_domain(address, defaults.plus)
    return address if _has_domain(address) else [*defaults.domain, *address]


def _without_route(address: AddressTokens) -> AddressTokens:
    # <@a,@b:joni@d>: the text begins with @; keep what follows the last colon that is found from the left.
    if address[-1].kind is not Kind.AT:
        return address
    colons = [position for position, token in enumerate(address) if token.kind is Kind.COLON]
    return address[: colons[-1]] if colons else []


def _with_plus_domain(address: AddressTokens, plus: Sequence[Token]) -> AddressTokens:
    last = address[0] if address else None
    if last is None or last.kind is not Kind.ATOM or not last.text.endswith(b"+"):
        return address
    return [*plus, Token(Kind.ATOM, last.text[:-1]), *address[1:]]


def _has_domain(address: AddressTokens) -> bool:
    at = next((n for n, token in enumerate(address) if token.kind is Kind.AT), len(address))
    return any(token.kind in (Kind.DOT, Kind.LITERAL) for token in address[:at])


def rewrite_list(field: Sequence[Token], take: Callable[[AddressTokens], AddressTokens]) -> list[Token]:
    """A whole field (name, colon, address list) with each address replaced by what `take` gives for it.

    Raises ParseError."""
    return _ListReader(field, take).read()


class _ListReader:
    """One pass over a field from right to left; `_at` is the token to look at, the first two are the name."""

    def __init__(self, field: Sequence[Token], take: Callable[[AddressTokens], AddressTokens]) -> None:
        self._field = field
        self._take = take
        self._out: list[Token] = []
        self._address: AddressTokens = []
        self._at = len(field) - 1
        self._in_group = False
        self._word_ok = True

    def read(self) -> list[Token]:
        while self._more():
            self._step(self._field[self._at])
        self._flush()
        self._out += reversed(self._field[: max(self._at + 1, 0)])
        return self._out[::-1]

    def _more(self) -> bool:
        return self._at >= 2

    def _step(self, token: Token) -> None:
        if token.kind in _WORDS:
            if not self._word_ok:
                self._flush(comma=True)
            self._word_ok = False
            self._to_address()
        elif token.kind in _STEPS:
            _STEPS[token.kind](self)
        else:
            self._word_ok = True
            self._to_address()

    def _semicolon(self) -> None:
        self._flush(comma=True)
        if self._in_group:
            raise ParseError("a group within a group")
        self._in_group = self._word_ok = True
        self._to_output()

    def _colon(self) -> None:
        self._flush()
        if not self._in_group:
            raise ParseError("a colon without a semicolon")
        self._in_group = False
        while self._more() and self._field[self._at].kind is not Kind.COMMA:
            self._to_output()
        if self._more():
            self._to_output()
        self._word_ok = True

    def _angle(self) -> None:
        self._flush(comma=True)
        self._to_output()
        while self._more() and self._field[self._at].kind is not Kind.LEFT:
            self._to_address()
        self._give()  # also <>
        if not self._more():
            raise ParseError("> without <")
        self._to_output()
        while self._more() and self._field[self._at].kind in _PHRASE:
            self._to_output()
        self._word_ok = False

    def _comment(self) -> None:
        self._to_output()

    def _comma(self) -> None:
        self._flush()
        self._word_ok = True
        self._to_output()

    def _to_output(self) -> None:
        self._out.append(self._field[self._at])
        self._at -= 1

    def _to_address(self) -> None:
        self._address.append(self._field[self._at])
        self._at -= 1

    def _flush(self, *, comma: bool = False) -> None:
        if self._address:
            self._give()
            if comma:
                self._out.append(_COMMA)

    def _give(self) -> None:
        self._out += self._take(self._address)
        self._address = []


_STEPS: dict[Kind, Callable[[_ListReader], None]] = {
    Kind.SEMI: _ListReader._semicolon,
    Kind.COLON: _ListReader._colon,
    Kind.RIGHT: _ListReader._angle,
    Kind.COMMENT: _ListReader._comment,
    Kind.COMMA: _ListReader._comma,
}
