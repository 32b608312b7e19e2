"""The blocking side of one session: its Maildir, its selected mailbox, the message it is sending. Runs as the account.

Everything that can go wrong with a disk or a name becomes an Answer here; a doubt is `NO [UNAVAILABLE]`.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from services.imap import replies
from services.imap.flags import BadFlag, FlagSet, canonical, parse_flags
from services.imap.grammar import commands as c
from services.imap.mailbox.selected import NoSuchMessage, Selected
from services.imap.operations import folders
from services.imap.operations.append import Incoming, TooManyMessages
from services.imap.operations.copy import copy, move
from services.imap.operations.expunge import expunge
from services.imap.operations.fetch import AnswerCut, fetch
from services.imap.operations.flags import store
from services.imap.operations.search import search
from services.imap.operations.select import select
from services.imap.session.requests import AppendBegin
from services.imap.session.results import Answer, CutShort, Ready, Updates
from services.imap.store.cache import MailboxCache
from services.imap.store.errors import (
    AlreadyExists,
    Busy,
    ImpossibleMailbox,
    InvalidName,
    MaildirUnusable,
    NoSuchMailbox,
    StoreError,
)
from services.imap.store.mailbox import Mailbox
from services.imap.store.maildir import Maildir
from services.imap.store.troubles import Troubles

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_CODES: dict[type[StoreError], bytes] = {
    AlreadyExists: replies.CODE_EXISTS,
    NoSuchMailbox: replies.CODE_NONEXISTENT,
    ImpossibleMailbox: replies.CODE_NONEXISTENT,
    InvalidName: replies.CODE_CANNOT,
    MaildirUnusable: replies.CODE_UNAVAILABLE,
    Busy: replies.CODE_UNAVAILABLE,
    TooManyMessages: replies.CODE_LIMIT,
}
# What FETCH and SEARCH do at a time: one turn of a thread, and one write to the client. Others have their turn between,
# and a client that is gone is noticed.
TURN_BYTES = 128 * 1024
TURN_SECONDS = 0.2

Answering = Generator[bytes, None, Answer]
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class MailboxSession:
    """One thread at a time. `owner`: the uid that the Maildir must belong to, None where that is not asked."""

    def __init__(self, maildir: Path, owner: int | None) -> None:
        self._path = maildir
        self._owner = owner
        self._maildir: Maildir | None = None
        self._incoming: Incoming | None = None
        self._answering: Answering | None = None
        self._lock = threading.Lock()
        self.selected: Selected | None = None
        self.troubles = Troubles(maildir)

    def locked(self, run: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Every call comes this way: when a connection is cut off, its last call may still run as `close` comes."""
        with self._lock:
            return run(*arguments)

    def close(self) -> None:
        """Give everything back; a message that was not complete is dropped."""
        self._end_answer()
        self._abort()
        self._deselect()
        if self._maildir is not None:
            self._maildir.close()
            self._maildir = None

    def perform(self, tag: bytes, command: c.Command) -> Answer:
        """Carry out any command but FETCH and SEARCH, and say what else has changed. Raises nothing but bugs."""
        answer = self._guarded(command.verb, lambda: self._perform(tag, command))
        return self._with_news(answer, command)

    def _with_news(self, answer: Answer, command: c.Command) -> Answer:
        if self.selected is None or answer.kind == b"BAD" or isinstance(command, c.Select | c.Examine):
            return answer
        uid = getattr(command, "uid", False)
        selected = self.selected
        expunge = command.tells_expunged or uid
        news = self._guarded(command.verb, lambda: Answer(b"OK", b"", selected.tell(expunge=expunge, uid=uid)))
        return replace(answer, lines=answer.lines + news.lines)

    def _guarded(self, verb: bytes, run: Callable[[], Answer]) -> Answer:
        try:
            return run()
        except (NoSuchMessage, StoreError, OSError) as error:
            return _answer_to(error, creating=verb in (b"COPY", b"MOVE", b"APPEND"))

    def _perform(self, tag: bytes, command: c.Command) -> Answer:
        match command:
            case c.Select() | c.Examine():
                return self._select(command)
            case c.Noop() | c.Check():
                return Answer(b"OK", replies.completed(command.verb))
            case c.Close() | c.Unselect():
                return self._leave(command)
            case c.Copy():
                return copy(self._current, command, self._target(command.mailbox))
            case c.Move():
                return move(self._current, command, self._target(command.mailbox))
            case c.Store():
                return store(self._current, command)
            case c.Expunge():
                return self._expunge(command)
        return _ON_FOLDERS[type(command)](self._open(), command)

    def _open(self) -> Maildir:
        if self._maildir is None:
            self._maildir = Maildir(self._path, self._owner, self.troubles)
        return self._maildir

    @property
    def _current(self) -> Selected:
        assert self.selected is not None, "the session asks for this only when a mailbox is selected"
        return self.selected

    def _target(self, name: bytes) -> Mailbox:
        """A folder to put messages into; they stay \\Recent for whoever selects it."""
        maildir = self._open()
        try:
            mailbox = maildir.mailbox(name, read_only=True)
            mailbox.begin_list()
            return mailbox
        except FileNotFoundError as error:
            raise NoSuchMailbox("No such mailbox.") from error

    def _select(self, command: c.Select | c.Examine) -> Answer:
        self._deselect()
        try:
            mailbox = self._open().mailbox(command.mailbox, read_only=isinstance(command, c.Examine))
            self.selected = Selected(mailbox, MailboxCache())
            return select(self.selected)
        except (StoreError, OSError) as error:
            self._deselect()
            answer = _answer_to(error)
            return replace(answer, selected=False)

    def _deselect(self) -> None:
        if self.selected is not None:
            self.selected.close()
            self.selected = None

    def _leave(self, command: c.Close | c.Unselect) -> Answer:
        if isinstance(command, c.Close) and not self._current.mailbox.read_only:
            expunge(self._current, None)
        self._deselect()
        return Answer(b"OK", replies.completed(command.verb), selected=False)

    def _expunge(self, command: c.Expunge) -> Answer:
        if self._current.mailbox.read_only:
            return Answer(b"NO", b"Mailbox is selected read-only.")
        expunge(self._current, command.uids)
        return Answer(b"OK", replies.completed(b"EXPUNGE" if command.uids is None else b"UID EXPUNGE"))

    # --- FETCH and SEARCH ---

    def fetch(self, command: c.Fetch, *, first: bool) -> tuple[bytes, Answer | CutShort | None]:
        """The first or next bytes of the answer; with the last, the Answer, or that there is none."""
        if first or self._answering is None:
            self._begin_answer(fetch(self._current, command))
        return self._next_turn(command)

    def search(self, tag: bytes, command: c.Search, *, first: bool) -> tuple[bytes, Answer | CutShort | None]:
        """As `fetch`; there are no bytes before the Answer."""
        if first or self._answering is None:
            self._begin_answer(search(self._current, command, tag))
        return self._next_turn(command)

    def _begin_answer(self, answering: Answering) -> None:
        self._end_answer()
        self._answering = answering

    def _end_answer(self) -> None:
        if self._answering is not None:
            self._answering.close()
            self._answering = None

    def _next_turn(self, command: c.Command) -> tuple[bytes, Answer | CutShort | None]:
        assert self._answering is not None
        data, answer = self._take_turn(self._answering, command)
        if answer is not None:
            self._end_answer()
        return data, answer

    def _take_turn(self, answering: Answering, command: c.Command) -> tuple[bytes, Answer | CutShort | None]:
        pieces: list[bytes] = []
        size = 0
        end_of_turn = time.monotonic() + TURN_SECONDS
        try:
            while size < TURN_BYTES and (not pieces or time.monotonic() < end_of_turn):
                piece = next(answering)
                pieces.append(piece)
                size += len(piece)
        except StopIteration as end:
            answer: Answer = end.value
            return b"".join(pieces), self._with_news(answer, command)
        except AnswerCut:
            return b"".join(pieces), CutShort()
        except (NoSuchMessage, StoreError, OSError) as error:
            return b"".join(pieces), _answer_to(error)
        return b"".join(pieces), None

    # --- IDLE ---

    def news(self) -> Updates:
        """What has changed in the selected mailbox."""
        selected = self.selected
        if selected is None:
            return Updates(())
        selected.mailbox.keep(None)  # who waits asks for no more pieces
        answer = self._guarded(b"IDLE", lambda: Answer(b"OK", b"", selected.tell(expunge=True)))
        return Updates(answer.lines)

    # --- APPEND ---

    def append_begin(self, request: AppendBegin) -> Ready | Answer:
        """Make ready for a message. After a refusal nothing of the whole command is kept."""
        answer = self._guarded(b"APPEND", lambda: self._append_begin(request))
        if answer.kind == b"OK":
            return Ready()
        self._abort()
        return answer

    def _append_begin(self, request: AppendBegin) -> Answer:
        if self._incoming is None:
            self._incoming = Incoming(self._target(request.command.mailbox))
        try:
            flags = parse_flags(request.command.flags)
            words = flags.keywords and canonical(flags.keywords, self._incoming.known_keywords())
        except BadFlag as error:
            return Answer(b"NO", replies.error_text(str(error)))
        self._incoming.begin(FlagSet(flags.letters, words), request.command.date)
        return Answer(b"OK", b"")

    def append_data(self, data: bytes) -> Ready:
        """Take octets."""
        if self._incoming is not None:
            self._incoming.write(data)
        return Ready()

    def append_commit(self) -> Answer:
        """Store all messages of the command."""
        incoming, self._incoming = self._incoming, None
        assert incoming is not None
        try:
            answer = self._guarded(b"APPEND", incoming.commit)
        finally:
            incoming.abort()
        if self.selected is None:
            return answer
        return self._with_news(answer, c.Noop())

    def append_abort(self) -> Ready:
        """Store nothing."""
        self._abort()
        return Ready()

    def _abort(self) -> None:
        if self._incoming is not None:
            self._incoming.abort()
            self._incoming = None


def _answer_to(error: NoSuchMessage | StoreError | OSError, *, creating: bool = False) -> Answer:
    if isinstance(error, NoSuchMessage):
        return Answer(b"BAD", b"No such message number.")
    return refusal(error, creating=creating) if isinstance(error, StoreError) else trouble(error)


def refusal(error: StoreError, *, creating: bool = False) -> Answer:
    """NO, with the code of RFC 5530 that fits."""
    code = _CODES.get(type(error), replies.CODE_UNAVAILABLE)
    if creating and code == replies.CODE_NONEXISTENT:
        code = replies.CODE_CANNOT if isinstance(error, ImpossibleMailbox) else replies.CODE_TRYCREATE
    return Answer(b"NO", replies.error_text(str(error)), code=code)


def trouble(error: OSError) -> Answer:
    """NO: the disk does not do what is needed just now."""
    code = replies.CODE_OVER_QUOTA if error.errno in _FULL else replies.CODE_UNAVAILABLE
    text = b"No room on the disk." if error.errno in _FULL else replies.FAILED_FOR_NOW
    return Answer(b"NO", text, code=code, why=str(error))


_ON_FOLDERS: dict[type[c.Command], Callable[[Maildir, c.Command], Answer]] = {
    c.Create: folders.create,  # type: ignore[dict-item]
    c.Delete: folders.delete,  # type: ignore[dict-item]
    c.Rename: folders.rename,  # type: ignore[dict-item]
    c.Subscribe: folders.subscribe,  # type: ignore[dict-item]
    c.Unsubscribe: folders.unsubscribe,  # type: ignore[dict-item]
    c.List: folders.listing,  # type: ignore[dict-item]
    c.Lsub: folders.lsub,  # type: ignore[dict-item]
    c.Status: folders.status,  # type: ignore[dict-item]
}
