"""SORT (RFC 5256, RFC 5957)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from services.imap.grammar.search import Criterion
from services.imap.message.address import Address, parse_addresses
from services.imap.message.header import Field, first
from services.imap.search.charset import collation, decode
from services.imap.search.subject import base_subject
from services.imap.search.view import EPOCH, MessageView, sent_at
from services.imap.search.words import decoded

SortValue: TypeAlias = int | float | bytes
#: Values of one criterion are all numbers or all octets.
SortKey: TypeAlias = tuple[Any, ...]


def sort_key(criteria: Iterable[Criterion], view: MessageView) -> SortKey:
    """What a message is sorted by, a value for each criterion."""
    return tuple(_CRITERIA[name](view) for name, _ in criteria)


def sort_numbers(criteria: Sequence[Criterion], found: Iterable[tuple[SortKey, int]]) -> list[int]:
    """The numbers in the order of their keys; equal ones as they came."""
    ordered = list(found)
    # One stable pass a criterion, the last first, so that each may have its own direction.
    for index, (_, reverse) in reversed(tuple(enumerate(criteria))):
        ordered.sort(key=lambda pair: pair[0][index], reverse=reverse)
    return [number for _, number in ordered]


def sort_date(view: MessageView, header: list[Field]) -> float:
    """The Date field's time, else INTERNALDATE, in seconds since the epoch. 1970 is a clock that was never set."""
    sent = sent_at(header)
    return view.internaldate if sent is None or sent <= EPOCH else sent.timestamp()


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
