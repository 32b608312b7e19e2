"""SORT (RFC 5256, RFC 5957)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.tokens import Atom, Token
from services.imap.message.address import Address, parse_addresses
from services.imap.message.header import Field, first
from services.imap.search.charset import collation, decode
from services.imap.search.esearch import parse_returns
from services.imap.search.parse import parse_charset, parse_keys
from services.imap.search.program import Key
from services.imap.search.subject import base_subject
from services.imap.search.view import EPOCH, MessageView, sent_at
from services.imap.search.words import decoded

SortValue: TypeAlias = int | float | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """A parsed SORT: criteria in order (name, whether reversed), ESORT's options or None, and what to search."""

    criteria: tuple[tuple[bytes, bool], ...]
    returns: frozenset[bytes] | None
    key: Key


def parse_sort(tokens: tuple[Token, ...]) -> Sort:
    """What follows SORT: `[RETURN (..)] (criteria) charset key ...`. Raises BadSyntax and BadCharset."""
    returns, tokens = parse_returns(tokens)
    if len(tokens) < 3:
        raise BadSyntax("missing search parameters")
    criteria, charset, *keys = tokens
    if not isinstance(criteria, tuple):
        raise BadSyntax("expected sort criteria")
    return Sort(criteria=_criteria(criteria), returns=returns, key=parse_keys(tuple(keys), parse_charset(charset)))


def sort_messages(criteria: Iterable[tuple[bytes, bool]], views: Iterable[MessageView]) -> list[MessageView]:
    """The messages in order; equal ones in mailbox order."""
    ordered = sorted(views, key=lambda view: view.seq)
    # One stable pass a criterion, the last first, so that each may have its own direction.
    for name, reverse in reversed(tuple(criteria)):
        value = _CRITERIA[name]
        keyed = [(value(view), view) for view in (reversed(ordered) if reverse else ordered)]
        keyed.sort(key=lambda pair: pair[0], reverse=False)
        ordered = [view for _, view in (reversed(keyed) if reverse else keyed)]
    return ordered


def sort_date(view: MessageView, header: list[Field]) -> float:
    """The Date field's time, else INTERNALDATE, in seconds since the epoch. 1970 is a clock that was never set."""
    sent = sent_at(header)
    return view.internaldate if sent is None or sent <= EPOCH else sent.timestamp()


def _criteria(words: tuple[Token, ...]) -> tuple[tuple[bytes, bool], ...]:
    found = []
    reverse = False
    for word in words:
        name = word.value.upper() if isinstance(word, Atom) else b""
        if name == b"REVERSE" and not reverse:
            reverse = True
            continue
        if name not in _CRITERIA:
            raise BadSyntax("unknown sort criterion")
        found.append((name, reverse))
        reverse = False
    if not found or reverse:
        raise BadSyntax("missing sort criterion")
    return tuple(found)


def _mailbox(name: bytes) -> Callable[[MessageView], SortValue]:
    def value(view: MessageView) -> SortValue:
        address = _first_address(view.header(), name)
        return collation(decode(address.mailbox or b"")) if address else b""

    return value


def _display(name: bytes) -> Callable[[MessageView], SortValue]:
    def value(view: MessageView) -> SortValue:
        address = _first_address(view.header(), name)
        if address is None:
            return b""
        if address.name:
            return collation(decoded(address.name))
        plain = address.mailbox or b""
        return collation(decode(plain + b"@" + address.host if address.host else plain))

    return value


def _first_address(header: list[Field], name: bytes) -> Address | None:
    found = parse_addresses(first(header, name) or b"")
    return found[0] if found else None


_CRITERIA: dict[bytes, Callable[[MessageView], SortValue]] = {
    b"ARRIVAL": lambda view: view.internaldate,
    b"CC": _mailbox(b"cc"),
    b"DATE": lambda view: sort_date(view, view.header()),
    b"DISPLAYFROM": _display(b"from"),
    b"DISPLAYTO": _display(b"to"),
    b"FROM": _mailbox(b"from"),
    b"SIZE": lambda view: view.size(),
    b"SUBJECT": lambda view: collation(base_subject(first(view.header(), b"subject") or b"").text),
    b"TO": _mailbox(b"to"),
}
