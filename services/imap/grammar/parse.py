"""A command's parts to a Command: one function a verb, one table (RFC 3501 section 9)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from services.imap.grammar import commands as c
from services.imap.grammar.cursor import Cursor
from services.imap.grammar.dates import parse_date_time
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.fetch import parse_fetch_items
from services.imap.grammar.sequence import SequenceSet, parse_sequence_set

# RFC 2971 section 3.3: at most 30 pairs.
MAX_ID_FIELDS = 30
# Each is matched with every folder.
MAX_LIST_PATTERNS = 50
_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]{1,256}(?= |\Z)')
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_STATUS_ITEMS = frozenset((b"MESSAGES", b"RECENT", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN"))
_LIST_SELECT = frozenset((b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"))
_LIST_RETURN = frozenset((b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE", b"STATUS"))
_SEARCH_RETURN = frozenset((b"MIN", b"MAX", b"ALL", b"COUNT"))
_STORE_ITEM = re.compile(rb"([+-]?)FLAGS(\.SILENT)?(?= )", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bad:
    """Not a command: the tag to answer with (None: there is none) and what was wrong."""

    tag: bytes | None
    text: str


def split_tag(parts: tuple[bytes, ...]) -> tuple[bytes | None, Cursor]:
    """The tag, None if there is no proper one, and the cursor behind it."""
    cursor = Cursor(parts)
    found = _TAG.match(cursor.text)
    if found is None:
        return None, cursor
    cursor.position = found.end()
    return found[0], cursor


def parse_command(parts: tuple[bytes, ...]) -> tuple[bytes, c.Command] | Bad:
    """The tag and the command of a complete command."""
    tag, cursor = split_tag(parts)
    if tag is None:
        return Bad(None, "no tag")
    try:
        cursor.space()
        command = _parse_verb(cursor)
        cursor.end()
    except BadSyntax as error:
        return Bad(tag, str(error))
    return tag, command


def _parse_verb(cursor: Cursor) -> c.Command:
    verb = cursor.word()
    if verb == b"UID":
        cursor.space()
        verb = b"UID " + cursor.word()
    parse = _VERBS.get(verb)
    if parse is None:
        raise BadSyntax("unknown command")
    if parse not in _BARE:
        cursor.space()
    return parse(cursor)


def append_head(parts: tuple[bytes, ...]) -> c.Append | None:
    """APPEND's arguments when `parts` is one up to a message's literal; None for every other command, and while
    the literal to come is still the mailbox name. Raises BadSyntax for an APPEND with wrong arguments."""
    _, cursor = split_tag(parts)
    if not (cursor.skip(b" APPEND ") and not cursor.at_end()):
        return None
    mailbox = parse_mailbox(cursor)
    return c.Append(mailbox, *append_arguments(cursor))


def append_arguments(cursor: Cursor) -> tuple[tuple[bytes, ...], int | None]:
    """Flags and date before a literal, each followed by a blank. Raises BadSyntax."""
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


def parse_mailbox(cursor: Cursor) -> bytes:
    """A mailbox name; `inbox` in any case is INBOX (RFC 3501 section 5.1)."""
    return normal_mailbox(cursor.astring())


def normal_mailbox(name: bytes) -> bytes:
    """INBOX and INBOX.x in upper case in their first five letters; the rest is kept."""
    head, dot, rest = name.partition(b".")
    return b"INBOX" + dot + rest if head.upper() == b"INBOX" else name


def _id(cursor: Cursor) -> c.Id:
    if cursor.skip(b"NIL"):
        return c.Id()
    cursor.expect(b"(")
    fields: list[tuple[bytes, bytes]] = []
    while not cursor.skip(b")"):
        if fields:
            cursor.space()
        name = cursor.string()
        cursor.space()
        fields.append((name, cursor.nstring() or b""))
        if len(fields) > MAX_ID_FIELDS:
            raise BadSyntax("too many fields")
    return c.Id(tuple(fields))


def _authenticate(cursor: Cursor) -> c.Authenticate:
    mechanism = cursor.word()
    if cursor.at_end():
        return c.Authenticate(mechanism)
    cursor.space()
    initial = b"" if cursor.skip(b"=") else cursor.match(_BASE64, "base64")
    return c.Authenticate(mechanism, initial)


def _login(cursor: Cursor) -> c.Login:
    user = cursor.astring()
    cursor.space()
    return c.Login(user, cursor.astring())


def _create(cursor: Cursor) -> c.Create:
    mailbox = parse_mailbox(cursor)
    if cursor.at_end():
        return c.Create(mailbox)
    cursor.space()
    cursor.expect(b"(USE ")
    uses = tuple(flag.lower() for flag in cursor.flags())
    cursor.expect(b")")
    return c.Create(mailbox, uses)


def _rename(cursor: Cursor) -> c.Rename:
    mailbox = parse_mailbox(cursor)
    cursor.space()
    return c.Rename(mailbox, parse_mailbox(cursor))


def _one_mailbox(kind: Callable[[bytes], c.Command]) -> Callable[[Cursor], c.Command]:
    return lambda cursor: kind(parse_mailbox(cursor))


def _list(cursor: Cursor) -> c.List:
    select: tuple[bytes, ...] = ()
    if cursor.peek() == b"(":
        select = _known(cursor.words(), _LIST_SELECT)
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
    return c.List(reference, patterns, select, give, status)


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
            status = _known(cursor.words(), _STATUS_ITEMS)
    return _known(tuple(give), _LIST_RETURN), status


def _known(words: tuple[bytes, ...], known: frozenset[bytes]) -> tuple[bytes, ...]:
    if not known.issuperset(words):
        raise BadSyntax("unknown option")
    return words


def _lsub(cursor: Cursor) -> c.Lsub:
    reference = cursor.astring()
    cursor.space()
    return c.Lsub(reference, cursor.list_mailbox())


def _status(cursor: Cursor) -> c.Status:
    mailbox = parse_mailbox(cursor)
    cursor.space()
    items = _known(cursor.words(), _STATUS_ITEMS)
    if not items:
        raise BadSyntax("nothing asked for")
    return c.Status(mailbox, items)


def _append(cursor: Cursor) -> c.Append:
    raise BadSyntax("APPEND needs a message as a literal")


def _enable(cursor: Cursor) -> c.Enable:
    names = [cursor.word()]
    while not cursor.at_end():
        cursor.space()
        names.append(cursor.word())
    return c.Enable(tuple(names))


def _set(cursor: Cursor) -> SequenceSet:
    return parse_sequence_set(cursor.sequence_text())


def _search(uid: bool) -> Callable[[Cursor], c.Command]:
    def parse(cursor: Cursor) -> c.Search:
        returns = None
        if cursor.skip(b"RETURN "):
            words = _known(cursor.words(), _SEARCH_RETURN)
            returns = frozenset(words or (b"ALL",))
            cursor.space()
        tokens = cursor.tokens()
        if not tokens:
            raise BadSyntax("nothing to search for")
        return c.Search(tokens, uid, returns)

    return parse


def _fetch(uid: bool) -> Callable[[Cursor], c.Command]:
    def parse(cursor: Cursor) -> c.Fetch:
        messages = _set(cursor)
        cursor.space()
        return c.Fetch(messages, uid, parse_fetch_items(cursor))

    return parse


def _store(uid: bool) -> Callable[[Cursor], c.Command]:
    def parse(cursor: Cursor) -> c.Store:
        messages = _set(cursor)
        cursor.space()
        item = cursor.match(_STORE_ITEM, "FLAGS")
        found = _STORE_ITEM.match(item + b" ")
        assert found is not None
        cursor.space()
        flags = cursor.flags() if cursor.peek() == b"(" else _bare_flags(cursor)
        return c.Store(messages, uid, found[1], found[2] is not None, flags)

    return parse


def _bare_flags(cursor: Cursor) -> tuple[bytes, ...]:
    flags = [cursor.flag()]
    while not cursor.at_end():
        cursor.space()
        flags.append(cursor.flag())
    return tuple(flags)


def _to_mailbox(kind: Callable[[SequenceSet, bool, bytes], c.Command], uid: bool) -> Callable[[Cursor], c.Command]:
    def parse(cursor: Cursor) -> c.Command:
        messages = _set(cursor)
        cursor.space()
        return kind(messages, uid, parse_mailbox(cursor))

    return parse


def _bare(kind: Callable[[], c.Command]) -> Callable[[Cursor], c.Command]:
    return lambda cursor: kind()


_WITHOUT_ARGUMENTS: dict[bytes, Callable[[Cursor], c.Command]] = {
    kind.verb: _bare(kind)
    for kind in (
        c.Capability, c.Noop, c.Logout, c.StartTlsCommand, c.Namespace, c.Idle, c.Check, c.Close, c.Unselect, c.Expunge,
    )
}  # fmt: skip
_BARE = frozenset(_WITHOUT_ARGUMENTS.values())
_VERBS: dict[bytes, Callable[[Cursor], c.Command]] = {
    **_WITHOUT_ARGUMENTS,
    **{kind.verb: _one_mailbox(kind) for kind in (c.Select, c.Examine, c.Delete, c.Subscribe, c.Unsubscribe)},
    b"ID": _id,
    b"AUTHENTICATE": _authenticate,
    b"LOGIN": _login,
    b"CREATE": _create,
    b"RENAME": _rename,
    b"LIST": _list,
    b"LSUB": _lsub,
    b"STATUS": _status,
    b"APPEND": _append,
    b"ENABLE": _enable,
    b"SEARCH": _search(False),
    b"UID SEARCH": _search(True),
    b"FETCH": _fetch(False),
    b"UID FETCH": _fetch(True),
    b"STORE": _store(False),
    b"UID STORE": _store(True),
    b"COPY": _to_mailbox(c.Copy, False),
    b"UID COPY": _to_mailbox(c.Copy, True),
    b"MOVE": _to_mailbox(c.Move, False),
    b"UID MOVE": _to_mailbox(c.Move, True),
    b"UID EXPUNGE": lambda cursor: c.Expunge(_set(cursor)),
}
