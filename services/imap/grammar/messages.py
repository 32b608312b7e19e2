"""Arguments of the commands on messages, by number and by UID alike (RFC 3501 section 6.4, RFC 6851)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

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
    """RFC 3501 section 6.4.5. `partial`: of the messages meant those at these places alone (RFC 9394);
    `changed_since`: and those alone that have a higher mod-sequence; `vanished`: tell what is gone since (RFC 7162)."""

    items: tuple[FetchItem, ...]
    partial: Partial | None = None
    changed_since: int | None = None
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Store(OnMessages):
    """`mode`: `+`, `-` or empty for replace; `unchanged_since`: not to messages with a higher mod-sequence."""

    mode: bytes
    silent: bool
    flags: tuple[bytes, ...]
    unchanged_since: int | None = None


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
    return _parse_fetch_modifiers(cursor, Fetch(messages, uid, items))


def _parse_fetch_modifiers(cursor: Cursor, fetch: Fetch) -> Fetch:
    cursor.expect(b"(")
    first = True
    while not cursor.skip(b")"):
        if not first:
            cursor.space()
        first = False
        word = cursor.word()
        if word == b"VANISHED" and fetch.uid:
            fetch = replace(fetch, vanished=True)
        elif word == b"PARTIAL" and fetch.uid and fetch.partial is None:
            cursor.space()
            fetch = replace(fetch, partial=parse_partial(cursor))
        elif word == b"CHANGEDSINCE" and fetch.changed_since is None:
            cursor.space()
            fetch = replace(fetch, changed_since=cursor.modseq())
        else:
            raise BadSyntax("unknown or repeated modifier, or one of UID FETCH alone")
    if first or (fetch.vanished and fetch.changed_since is None):
        raise BadSyntax("missing modifier")
    return fetch


def parse_store(cursor: Cursor, *, uid: bool) -> Store:
    """Raises BadSyntax."""
    messages = parse_set(cursor)
    cursor.space()
    unchanged_since = None
    if cursor.skip(b"(UNCHANGEDSINCE "):
        unchanged_since = cursor.modseq()
        cursor.expect(b")")
        cursor.space()
    item = cursor.match(_STORE_ITEM, "FLAGS")
    found = _STORE_ITEM.match(item + b" ")
    assert found is not None
    cursor.space()
    flags = cursor.flags() if cursor.peek() == b"(" else _bare_flags(cursor)
    return Store(messages, uid, found[1], found[2] is not None, flags, unchanged_since)


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
