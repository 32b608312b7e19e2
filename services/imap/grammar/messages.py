"""Arguments of the commands on messages, by number and by UID alike (RFC 3501 section 6.4, RFC 4731, RFC 6851)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.fetch import FetchItem, parse_fetch_items
from services.imap.grammar.folders import known_words, parse_mailbox
from services.imap.grammar.sequence import SequenceSet, parse_sequence_set
from services.imap.grammar.tokens import Token

_SEARCH_RETURN = frozenset((b"MIN", b"MAX", b"ALL", b"COUNT"))
_STORE_ITEM = re.compile(rb"([+-]?)FLAGS(\.SILENT)?(?= )", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Search:
    """`returns`: None for plain SEARCH, else ESEARCH's result options (RFC 4731)."""

    tokens: tuple[Token, ...]
    uid: bool
    returns: frozenset[bytes] | None = None


@dataclass(frozen=True, slots=True)
class OnMessages:
    """A set of messages, by number or by UID, and what follows it."""

    messages: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class Fetch(OnMessages):
    """RFC 3501 section 6.4.5."""

    items: tuple[FetchItem, ...]


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


def parse_search(cursor: Cursor, *, uid: bool) -> Search:
    """The keys stay tokens (`services.imap.search.parse`). Raises BadSyntax."""
    returns = None
    if cursor.skip(b"RETURN "):
        words = known_words(cursor.words(), _SEARCH_RETURN)
        returns = frozenset(words or (b"ALL",))
        cursor.space()
    tokens = cursor.tokens()
    if not tokens:
        raise BadSyntax("nothing to search for")
    return Search(tokens, uid, returns)


def parse_fetch(cursor: Cursor, *, uid: bool) -> Fetch:
    """Raises BadSyntax."""
    messages = parse_set(cursor)
    cursor.space()
    return Fetch(messages, uid, parse_fetch_items(cursor))


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
