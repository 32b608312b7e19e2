"""Lexical tokens of structured header fields (RFC 822 3.3; token822 of qmail), bytes in and bytes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

LINE_LENGTH = 80


class ParseError(ValueError):
    """The text is not a sequence of tokens, or the tokens are no address list."""


class Kind(Enum):
    """What a token is; the value of a special is its character."""

    ATOM = "atom"
    QUOTE = "quoted string"
    LITERAL = "domain literal"
    COMMENT = "comment"
    DOT = "."
    COMMA = ","
    AT = "@"
    LEFT = "<"
    RIGHT = ">"
    COLON = ":"
    SEMI = ";"


class Token(NamedTuple):
    """One token; `text` without quotes, brackets, parentheses and backslashes."""

    kind: Kind
    text: bytes = b""


_SPECIALS = {ord(kind.value): Token(kind, kind.value.encode()) for kind in Kind if len(kind.value) == 1}
_BLANK = b" \t\r\n"
_ENDS_ATOM = frozenset(b' \t\r\n(["<>;:@,.')
_ENCLOSED = {
    ord('"'): (Kind.QUOTE, ord('"')),
    ord("["): (Kind.LITERAL, ord("]")),
    ord("("): (Kind.COMMENT, ord(")")),
}
_BACKSLASH = ord("\\")
_OPEN = ord("(")
_ESCAPED = frozenset(b'"[]()\\\r\n')
_BRACKETS = {
    Kind.ATOM: (b"", b""),
    Kind.QUOTE: (b'"', b'"'),
    Kind.LITERAL: (b"[", b"]"),
    Kind.COMMENT: (b"(", b")"),
}


def parse_tokens(text: bytes) -> list[Token]:
    """The tokens of a field or address. Raises ParseError for what is not closed or closes nothing."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        byte = text[position]
        if byte in _SPECIALS:
            tokens.append(_SPECIALS[byte])
            position += 1
        elif byte in _BLANK:
            position += 1
        elif byte in b")]":
            raise ParseError(f"{chr(byte)} closes nothing")
        else:
            take = _take_enclosed if byte in _ENCLOSED else _take_atom
            token, position = take(text, position)
            tokens.append(token)
    return tokens


def _take_enclosed(text: bytes, position: int) -> tuple[Token, int]:
    opening = text[position]
    kind, closing = _ENCLOSED[opening]
    found = bytearray()
    level = 1
    while level:
        position += 1
        if position >= len(text):
            raise ParseError(f"{kind.value} without end")
        byte = text[position]
        if byte == closing:
            level -= 1
        elif byte == _OPEN and kind is Kind.COMMENT:
            level += 1
        else:
            if byte == _BACKSLASH:
                position += 1
                if position >= len(text):
                    raise ParseError(f"{kind.value} without end")
            found.append(text[position])
    return Token(kind, bytes(found)), position + 1


def _take_atom(text: bytes, position: int) -> tuple[Token, int]:
    found = bytearray()
    while True:
        if text[position] == _BACKSLASH:
            position += 1
            if position >= len(text):
                break
        found.append(text[position])
        position += 1
        if position >= len(text) or text[position] in _ENDS_ATOM:
            break
    # What may not stand in an atom makes it a quoted string when it is written again.
    plain = all(32 <= byte <= 126 and byte not in b")]\\" for byte in found)
    return Token(Kind.ATOM if plain else Kind.QUOTE, bytes(found)), position


def _needs_space(before: Kind | None, after: Kind) -> bool:
    if before is None:
        return False
    if before in (Kind.COLON, Kind.COMMA) or after is Kind.LEFT:
        return True
    return before in _BRACKETS and after in _BRACKETS


class _Folder:
    """Text that breaks after commas where the next item would pass LINE_LENGTH columns."""

    def __init__(self) -> None:
        self.text = bytearray()
        self._line = 0
        self._break: int | None = None

    def may_break(self) -> None:
        end = len(self.text)
        if self._break is not None and end - self._line <= LINE_LENGTH:
            del self.text[self._break : self._break + 2]
        elif self._break is not None:
            self._line = self._break + 1
        self._break = len(self.text)
        self.text += b"\n "


def unparse_tokens(tokens: Iterable[Token]) -> bytes:
    """The tokens as a field with its newline, folded."""
    folder = _Folder()
    before = None
    for token in tokens:
        if _needs_space(before, token.kind):
            folder.text += b" "
        before = token.kind
        folder.text += _written(token)
        if token.kind is Kind.COMMA:
            folder.may_break()
    folder.may_break()
    return bytes(folder.text[:-1])


def _written(token: Token) -> bytes:
    brackets = _BRACKETS.get(token.kind)
    if brackets is None:
        return token.text
    escaped = b"".join((b"\\%c" if byte in _ESCAPED else b"%c") % byte for byte in token.text)
    return brackets[0] + escaped + brackets[1]


def unquote_tokens(tokens: Sequence[Token]) -> bytes:
    """The tokens as an envelope address: no quotes, no comments."""
    parts = (b"[" + t.text + b"]" if t.kind is Kind.LITERAL else t.text for t in tokens)
    return b"".join(part for part, t in zip(parts, tokens, strict=True) if t.kind is not Kind.COMMENT)
