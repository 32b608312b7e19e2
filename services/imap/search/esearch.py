"""Answers to SEARCH and SORT: plain and extended (RFC 3501 7.2.5, RFC 4731, RFC 5267)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.sequence import render_set
from services.imap.grammar.tokens import Atom, Token

_OPTIONS = frozenset((b"MIN", b"MAX", b"ALL", b"COUNT"))


def parse_returns(tokens: tuple[Token, ...]) -> tuple[frozenset[bytes] | None, tuple[Token, ...]]:
    """`RETURN (...)` at the beginning and the rest; None where there is none. Raises BadSyntax."""
    if len(tokens) < 2 or not isinstance(tokens[0], Atom) or tokens[0].value.upper() != b"RETURN":
        return None, tokens
    options = tokens[1]
    if not isinstance(options, tuple):
        raise BadSyntax("expected result options")
    words = frozenset(option.value.upper() for option in options if isinstance(option, Atom))
    if len(words) > len(options) or not words <= _OPTIONS:
        raise BadSyntax("unknown result option")
    return words or frozenset((b"ALL",)), tokens[2:]


def render_numbers(verb: bytes, numbers: Sequence[int]) -> bytes:
    """`SEARCH 1 2 3`, without `* ` and line end."""
    return b" ".join((verb, *(b"%d" % number for number in numbers)))


def render_esearch(tag: bytes, numbers: Sequence[int], returns: Collection[bytes], *, uid: bool) -> bytes:
    """`ESEARCH (TAG "a") UID MIN 1 ...`, without `* ` and line end. `numbers` in the order of the result; an empty
    `returns` is ALL."""
    items = [b'ESEARCH (TAG "%b")' % tag]
    if uid:
        items.append(b"UID")
    if numbers and b"MIN" in returns:
        items.append(b"MIN %d" % numbers[0])
    if numbers and b"MAX" in returns:
        items.append(b"MAX %d" % numbers[-1])
    if numbers and (b"ALL" in returns or not returns):
        items.append(b"ALL " + render_set(numbers))
    if b"COUNT" in returns:
        items.append(b"COUNT %d" % len(numbers))
    return b" ".join(items)
