"""Arguments of the commands on messages, by number and by UID alike (RFC 3501 section 6.4, RFC 6851)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.fetch import FetchItem, parse_fetch_items
from services.imap.grammar.folders import parse_mailbox
from services.imap.grammar.search import Partial, parse_partial
from services.imap.grammar.sequence import SequenceSet, parse_sequence_set

_STORE_ITEM = re.compile(rb"([+-]?)FLAGS(\.SILENT)?(?= )", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OnMessages:
    """A set of messages, by number or by UID, and what follows it."""

    messages: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class Fetch(OnMessages):
    """RFC 3501 section 6.4.5. `partial`: of the messages meant those at these places alone (RFC 9394)."""

    items: tuple[FetchItem, ...]
    partial: Partial | None = None


@dataclass(frozen=True, slots=True)
class Store(OnMessages):
    """`mode`: `+`, `-` or empty for replace."""

    mode: bytes
    silent: bool
    flags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ToMailbox(OnMessages):
    """COPY and MOVE."""

    mailbox: bytes


def parse_set(cursor: Cursor) -> SequenceSet:
    """A set alone. Raises BadSyntax."""
    return parse_sequence_set(cursor.sequence_text())


def parse_fetch(cursor: Cursor, *, uid: bool) -> Fetch:
    """Raises BadSyntax."""
    messages = parse_set(cursor)
    cursor.space()
    items = parse_fetch_items(cursor)
    if cursor.at_end():
        return Fetch(messages, uid, items)
    cursor.space()
    cursor.expect(b"(PARTIAL ")
    if not uid:
        raise BadSyntax("PARTIAL goes with UID FETCH")
    partial = parse_partial(cursor)
    cursor.expect(b")")
    return Fetch(messages, uid, items, partial)


def parse_store(cursor: Cursor, *, uid: bool) -> Store:
    """Raises BadSyntax."""
    messages = parse_set(cursor)
    cursor.space()
    item = cursor.match(_STORE_ITEM, "FLAGS")
    found = _STORE_ITEM.match(item + b" ")
    assert found is not None
    cursor.space()
    flags = cursor.flags() if cursor.peek() == b"(" else _bare_flags(cursor)
    return Store(messages, uid, found[1], found[2] is not None, flags)


def _bare_flags(cursor: Cursor) -> tuple[bytes, ...]:
    flags = [cursor.flag()]
    while not cursor.at_end():
        cursor.space()
        flags.append(cursor.flag())
    return tuple(flags)


def parse_to_mailbox(cursor: Cursor, *, uid: bool) -> ToMailbox:
    """Raises BadSyntax."""
    messages = parse_set(cursor)
    cursor.space()
    return ToMailbox(messages, uid, parse_mailbox(cursor))
