"""SEARCH, SORT and THREAD (RFC 3501 section 6.4.4, RFC 4731, RFC 5182, RFC 5256, RFC 5267)."""

from __future__ import annotations

from collections.abc import Callable

from services.imap import replies
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.search import Criterion, Returns, Search, Sort, Thread
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.operations.candidate import Candidate, Value, bounds_of, look
from services.imap.operations.condstore import begin
from services.imap.operations.contexts import Context
from services.imap.operations.sieve import narrowed
from services.imap.search.esearch import render_esearch, render_numbers, taken
from services.imap.search.match import asks_for_modseq, bind
from services.imap.search.parse import BadCharset, parse_search
from services.imap.search.program import All, Key
from services.imap.search.sort import SortKey, sort_key, sort_numbers
from services.imap.search.thread import Facts, render_threads, thread_facts, thread_messages
from services.imap.session.command import Answering
from services.imap.session.results import Answer

_SILENT = frozenset((b"SAVE",))
_PARTS = frozenset((b"MIN", b"MAX", b"PARTIAL"))
_WHOLE = frozenset((b"ALL", b"COUNT"))


def search(session: MailboxSession, arguments: Search) -> Answering:
    """Nothing after each message, then the Answer."""
    return _ordered(session, b"SEARCH", arguments, ())


def sort(session: MailboxSession, arguments: Sort) -> Answering:
    """As `search`."""
    return _ordered(session, b"SORT", arguments, arguments.criteria)


def _ordered(session: MailboxSession, verb: bytes, arguments: Search, criteria: tuple[Criterion, ...]) -> Answering:
    def render(key: Key, found: list[tuple[SortKey, int]]) -> tuple[bytes, ...]:
        uids = sort_numbers(criteria, found)
        view = session.current.view
        numbers = uids if arguments.uid else [view.number(uid) for uid in uids]
        returns = arguments.returns
        told = _told(returns, uids) if asks_for_modseq(key) else ()
        modseq = max((session.current.modseq(uid) for uid in told), default=0)
        if returns is None:
            return (replies.untagged(render_numbers(verb, numbers, modseq)),)
        lines = [] if returns.words <= _SILENT else [_extended(session, returns, numbers, modseq, uid=arguments.uid)]
        if b"SAVE" in returns.words:
            session.current.saved = tuple(sorted(_saved(returns, uids)))
        if b"UPDATE" in returns.words:
            context = Context(session.tag, key, criteria, found, uid=arguments.uid)
            lines += [] if session.current.watch(session.tag, context) else [replies.no_update(session.tag)]
        return tuple(lines)

    at_once = None if criteria else lambda uid: ((), uid)
    return _answer(session, arguments, lambda one: (sort_key(criteria, one), one.uid), render, at_once)


def _extended(session: MailboxSession, returns: Returns, numbers: list[int], modseq: int, *, uid: bool) -> bytes:
    return replies.untagged(render_esearch(session.tag, numbers, returns, modseq, uid=uid))


def _told(returns: Returns | None, found: list[int]) -> set[int]:
    """The messages whose highest mod-sequence is told: the ends where they alone are (RFC 7162 section 3.1.6)."""
    if returns is None or returns.words & _WHOLE:
        return set(found)
    return _saved(returns, found)


def _saved(returns: Returns, found: list[int]) -> set[int]:
    """What `$` is from now on: the result, or that of it which alone was asked for (RFC 5182 section 2.1)."""
    asked = returns.words & _PARTS
    if not asked or returns.words & _WHOLE:
        return set(found)
    partial = taken(found, returns.partial) if returns.partial is not None else ()
    ends = {b"MIN": found[:1], b"MAX": found[-1:], b"PARTIAL": partial}
    return {number for word in asked for number in ends[word]}


def cancel(session: MailboxSession, tags: tuple[bytes, ...]) -> Answer:
    """CANCELUPDATE (RFC 5267 section 4.3.5)."""
    for tag in tags:
        session.current.contexts.pop(tag, None)
    return Answer()


def thread(session: MailboxSession, arguments: Thread) -> Answering:
    """As `search`."""

    def render(_key: Key, found: list[Facts]) -> tuple[bytes, ...]:
        return (replies.untagged(render_threads(thread_messages(arguments.algorithm, found))),)

    return _answer(session, arguments, lambda one: thread_facts(one, uid=arguments.uid), render)


def _answer(
    session: MailboxSession,
    arguments: Search,
    take: Callable[[Candidate], Value],
    render: Callable[[Key, list[Value]], tuple[bytes, ...]],
    at_once: Callable[[int], Value] | None = None,
) -> Answering:
    """The untagged answers are what `render` makes of what `take` takes from each message that was found. `at_once`:
    the same of a UID, where nothing else of the message is needed.

    What cannot be read is not found, and does not keep the rest from being found: the client is told that there is such
    a message, an administrator which and why."""
    selected = session.current
    saves = arguments.returns is not None and b"SAVE" in arguments.returns.words
    try:
        key = parse_search(arguments.keys, arguments.charset)
    except BadSyntax as error:
        return Answer(b"BAD", replies.error_text(str(error)))
    except BadCharset:
        selected.saved = () if saves else selected.saved
        return Answer(b"NO", replies.UNKNOWN_CHARSET, code=replies.CODE_BAD_CHARSET)
    begun: tuple[bytes, ...] = ()
    if asks_for_modseq(key):
        begun = begin(session)
        selected.track()
    bound = bind(key, bounds_of(selected))
    found: list[Value] = []
    unreadable = False
    possible, left = yield from narrowed(selected, bound)
    if left == All() and at_once is not None:
        found, possible = [at_once(uid) for uid in possible if uid in selected.mailbox.messages], []
    for uid in possible:
        try:
            value = look(selected, uid, left, take)
        except OSError as error:
            unreadable = True
            selected.mailbox.note_message(uid, error)
        else:
            if value is not None:
                found.append(value)
        yield b""
    selected.cache.flush()
    return Answer(lines=(*begun, *render(key, found), *([replies.NOT_SEARCHED] if unreadable else ())))
