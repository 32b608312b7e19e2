"""Arguments of the commands on mailboxes (RFC 3501 section 6.3, RFC 5258, RFC 5819, RFC 6154)."""

from __future__ import annotations

from dataclasses import dataclass

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.dates import parse_date_time
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.sequence import SequenceSet, parse_sequence_set

# Each is matched with every folder.
MAX_LIST_PATTERNS = 50
_STATUS_ITEMS = frozenset(
    (b"MESSAGES", b"RECENT", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN", b"DELETED", b"SIZE", b"MAILBOXID", b"HIGHESTMODSEQ")
)
_LIST_SELECT = frozenset((b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"))
_LIST_RETURN = frozenset((b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE", b"STATUS", b"MYRIGHTS"))


@dataclass(frozen=True, slots=True)
class Create:
    """`use`: the special uses asked for (RFC 6154 section 3), which only go with the right name."""

    mailbox: bytes
    use: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Rename:
    """RFC 3501 section 6.3.5."""

    mailbox: bytes
    to: bytes


@dataclass(frozen=True, slots=True)
class List:
    """LIST with RFC 5258's selection and return options; STATUS items by RFC 5819."""

    reference: bytes
    patterns: tuple[bytes, ...]
    select: tuple[bytes, ...] = ()
    give: tuple[bytes, ...] = ()
    status: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Lsub:
    """RFC 3501 section 6.3.9."""

    reference: bytes
    pattern: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """RFC 3501 section 6.3.10."""

    mailbox: bytes
    items: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """What stands before a message's literal; `date` in seconds since the epoch, None: now."""

    mailbox: bytes
    flags: tuple[bytes, ...]
    date: int | None


def parse_mailbox(cursor: Cursor) -> bytes:
    """A mailbox name; `inbox` in any case is INBOX (RFC 3501 section 5.1). Raises BadSyntax."""
    return normal_mailbox(cursor.astring())


def normal_mailbox(name: bytes) -> bytes:
    """INBOX and INBOX.x in upper case in their first five letters; the rest is kept."""
    head, dot, rest = name.partition(b".")
    return b"INBOX" + dot + rest if head.upper() == b"INBOX" else name


@dataclass(frozen=True, slots=True)
class Resync:
    """What the client knows of the mailbox (RFC 7162 section 3.2.5). `known`: UIDs that it has, None: all."""

    validity: int
    modseq: int
    known: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT's and EXAMINE's."""

    mailbox: bytes
    condstore: bool = False
    resync: Resync | None = None


def parse_select(cursor: Cursor) -> Select:
    """Raises BadSyntax."""
    mailbox = parse_mailbox(cursor)
    if cursor.at_end():
        return Select(mailbox)
    cursor.space()
    cursor.expect(b"(")
    if cursor.skip(b"CONDSTORE"):
        cursor.expect(b")")
        return Select(mailbox, condstore=True)
    cursor.expect(b"QRESYNC (")
    resync = _parse_resync(cursor)
    cursor.expect(b"))")
    return Select(mailbox, condstore=True, resync=resync)


def _parse_resync(cursor: Cursor) -> Resync:
    validity = cursor.number()
    cursor.space()
    modseq = cursor.modseq()
    known = None
    if cursor.peek() == b" ":
        cursor.space()
        if cursor.peek() != b"(":
            known = parse_sequence_set(cursor.sequence_text())
    if cursor.peek() == b" " or cursor.peek() == b"(":
        cursor.skip(b" ")
        # Which numbers those UIDs had saves the client bytes, which it may do without.
        cursor.expect(b"(")
        parse_sequence_set(cursor.sequence_text())
        cursor.space()
        parse_sequence_set(cursor.sequence_text())
        cursor.expect(b")")
    return Resync(validity, modseq, known)


def parse_create(cursor: Cursor) -> Create:
    """Raises BadSyntax."""
    mailbox = parse_mailbox(cursor)
    if cursor.at_end():
        return Create(mailbox)
    cursor.space()
    cursor.expect(b"(USE ")
    uses = tuple(flag.lower() for flag in cursor.flags())
    cursor.expect(b")")
    return Create(mailbox, uses)


def parse_rename(cursor: Cursor) -> Rename:
    """Raises BadSyntax."""
    mailbox = parse_mailbox(cursor)
    cursor.space()
    return Rename(mailbox, parse_mailbox(cursor))


def parse_list(cursor: Cursor) -> List:
    """Raises BadSyntax."""
    select: tuple[bytes, ...] = ()
    if cursor.peek() == b"(":
        select = known_words(cursor.words(), _LIST_SELECT)
        cursor.space()
        if select and not {b"SUBSCRIBED", b"SPECIAL-USE"} & set(select) and b"RECURSIVEMATCH" in select:
            raise BadSyntax("RECURSIVEMATCH needs another selection option")
    reference = cursor.astring()
    cursor.space()
    patterns = _list_patterns(cursor)
    give: tuple[bytes, ...] = ()
    status: tuple[bytes, ...] = ()
    if not cursor.at_end():
        cursor.space()
        cursor.expect(b"RETURN ")
        give, status = _list_return(cursor)
    return List(reference, patterns, select, give, status)


def _list_patterns(cursor: Cursor) -> tuple[bytes, ...]:
    if not cursor.skip(b"("):
        return (cursor.list_mailbox(),)
    patterns = [cursor.list_mailbox()]
    while not cursor.skip(b")"):
        cursor.space()
        patterns.append(cursor.list_mailbox())
        if len(patterns) > MAX_LIST_PATTERNS:
            raise BadSyntax("too many patterns")
    return tuple(patterns)


def _list_return(cursor: Cursor) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    cursor.expect(b"(")
    give: list[bytes] = []
    status: tuple[bytes, ...] = ()
    while not cursor.skip(b")"):
        if give:
            cursor.space()
        give.append(cursor.word())
        if give[-1] == b"STATUS":
            cursor.space()
            status = known_words(cursor.words(), _STATUS_ITEMS)
    return known_words(tuple(give), _LIST_RETURN), status


def known_words(words: tuple[bytes, ...], known: frozenset[bytes]) -> tuple[bytes, ...]:
    """The words. Raises BadSyntax if one is not known."""
    if not known.issuperset(words):
        raise BadSyntax("unknown option")
    return words


def parse_lsub(cursor: Cursor) -> Lsub:
    """Raises BadSyntax."""
    reference = cursor.astring()
    cursor.space()
    return Lsub(reference, cursor.list_mailbox())


def parse_status(cursor: Cursor) -> Status:
    """Raises BadSyntax."""
    mailbox = parse_mailbox(cursor)
    cursor.space()
    items = known_words(cursor.words(), _STATUS_ITEMS)
    if not items:
        raise BadSyntax("nothing asked for")
    return Status(mailbox, items)


def parse_append(cursor: Cursor) -> Append:
    """What stands before the message's literal. Raises BadSyntax."""
    mailbox = parse_mailbox(cursor)
    return Append(mailbox, *parse_flags_and_date(cursor))


def parse_flags_and_date(cursor: Cursor) -> tuple[tuple[bytes, ...], int | None]:
    """What stands before each of MULTIAPPEND's literals, with a blank at the end (RFC 3502). Raises BadSyntax."""
    flags: tuple[bytes, ...] = ()
    date = None
    cursor.space()
    if cursor.peek() == b"(":
        flags = cursor.flags()
        cursor.space()
    if cursor.peek() == b'"':
        date = parse_date_time(cursor.string())
        cursor.space()
    cursor.end()
    return flags, date
