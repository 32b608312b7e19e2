"""SEARCH and ESEARCH (RFC 3501 section 6.4.4, RFC 4731). Without I/O but for the files that a key must look into."""

from __future__ import annotations

from services.imap import message as mime
from services.imap import replies
from services.imap.flags import NAMES as LETTER_NAMES
from services.imap.flags import Keywords
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.messages import Search
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.mailbox.selected import Selected
from services.imap.message.header import Field
from services.imap.operations.ready import CACHED, value
from services.imap.search.esearch import render_esearch, render_numbers
from services.imap.search.match import bind, matches
from services.imap.search.parse import BadCharset, parse_search
from services.imap.session.command import Answering
from services.imap.session.results import Answer
from services.imap.store.errors import MessageGone
from services.imap.store.message import Message
from services.imap.store.opened import OpenMessage


class _Candidate:
    """A message as the search sees it (`search.view.MessageView`)."""

    def __init__(self, selected: Selected, message: Message, seq: int, opened: OpenMessage) -> None:
        self._selected = selected
        self._message = message
        self._opened = opened
        self.seq = seq
        self.uid = message.uid

    @property
    def flags(self) -> frozenset[bytes]:
        names = {name for letter, name in LETTER_NAMES.items() if letter in self._message.flags}
        if self.uid in self._selected.mailbox.recent:
            names.add(b"\\Recent")
        return frozenset(names)

    @property
    def keywords(self) -> Keywords:
        return self._message.keywords

    @property
    def internaldate(self) -> int:
        return self._opened.stat().st_mtime_ns // 10**9

    def size(self) -> int:
        return int(value(self._selected, self.uid, self._opened, *CACHED[b"RFC822.SIZE"]))

    def header(self) -> list[Field]:
        return self._opened.head().root.header

    def message(self) -> mime.Message:
        return self._opened.parsed()


def search(session: MailboxSession, arguments: Search) -> Answering:
    """Nothing after each message, then the Answer.

    What cannot be read is not found, and does not keep the rest from being found: the client is told that there is such
    a message, an administrator which and why."""
    selected = session.current
    try:
        key = parse_search(arguments.tokens)
    except BadSyntax as error:
        return Answer(b"BAD", replies.error_text(str(error)))
    except BadCharset:
        return Answer(b"NO", replies.UNKNOWN_CHARSET, code=replies.CODE_BAD_CHARSET)
    uids = selected.view.uids
    key = bind(key, len(uids), uids[-1] if uids else 0)
    found = []
    unreadable = False
    for seq, uid in enumerate(uids, 1):
        message = selected.mailbox.messages.get(uid)
        if message is None:
            continue
        with OpenMessage(selected.mailbox, uid) as opened:
            try:
                if matches(key, _Candidate(selected, message, seq, opened)):
                    found.append(uid if arguments.uid else seq)
            except MessageGone:
                pass  # removed by another session; it is told with the next EXPUNGE
            except OSError as error:
                unreadable = True
                selected.mailbox.note_message(uid, error)
        yield b""
    selected.cache.flush()
    lines = (_result(arguments, session.tag, found), *([replies.NOT_SEARCHED] if unreadable else ()))
    return Answer(lines=lines)


def _result(arguments: Search, tag: bytes, found: list[int]) -> bytes:
    """The untagged answer: SEARCH, or ESEARCH where results were asked for by name."""
    if arguments.returns is None:
        return replies.untagged(render_numbers(b"SEARCH", found))
    return replies.untagged(render_esearch(tag, found, arguments.returns, uid=arguments.uid))
