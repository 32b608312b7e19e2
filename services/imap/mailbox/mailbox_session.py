"""What one session has open on disk: its Maildir, its selected mailbox, the message that it is sending. Runs as the
account.

Everything that can go wrong with a disk or a name becomes an Answer here; a doubt is `NO [UNAVAILABLE]`.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar, TypeVarTuple

from services.imap import replies
from services.imap.flags import FlagSet, canonical, parse_flags
from services.imap.mailbox.incoming import Incoming
from services.imap.mailbox.selected import NoSuchMessage, Selected
from services.imap.session.command import Answering, Command
from services.imap.session.requests import AppendBegin, Execute
from services.imap.session.results import Answer, CutShort, Ready, Updates
from services.imap.store.counted import Counted
from services.imap.store.errors import (
    AnswerCut,
    ImpossibleMailbox,
    InvalidName,
    NoSuchMailbox,
    NoSuchTarget,
    StoreError,
)
from services.imap.store.folders import Folders
from services.imap.store.mailbox import Mailbox
from services.imap.store.maildir import Maildir
from services.imap.store.troubles import Troubles

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
# What a long answer gets at a time: one turn of a thread, and one write to the client. Others have their turn between,
# and a client that is gone is noticed.
TURN_BYTES = 128 * 1024
TURN_SECONDS = 0.2

#: The next bytes of an answer; with the last, the Answer, or that there is none.
Turn: TypeAlias = tuple[bytes, Answer | CutShort | None]
CONDSTORE, QRESYNC = b"CONDSTORE", b"QRESYNC"
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class MailboxSession:
    """One thread at a time. `owner`: the uid that the Maildir must belong to, None where that is not asked. `folders`:
    as of Mailbox. `user`: the account's name."""

    def __init__(
        self, maildir: Path, owner: int | None, folders: Folders | None = None, user: bytes = b"owner"
    ) -> None:
        self._folders = folders
        self.user = user
        self._path = maildir
        self._owner = owner
        self._maildir: Maildir | None = None
        self._incoming: Incoming | None = None
        self._answering: tuple[Answering, Command] | None = None
        self._lock = threading.Lock()
        self.selected: Selected | None = None
        #: By ENABLE, or by what stands for it (RFC 5161, RFC 7162 section 3.1).
        self.enabled: set[bytes] = set()
        self.troubles = Troubles(maildir)
        #: Of the command that is being carried out.
        self.tag = b""

    def locked(self, run: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Every call comes this way: when a connection is cut off, its last call may still run as `close` comes."""
        with self._lock:
            return run(*arguments)

    def close(self) -> None:
        """Give everything back; a message that was not complete is dropped."""
        self._end_answering()
        self._abort()
        self.deselect()
        if self._maildir is not None:
            self._maildir.close()
            self._maildir = None

    # --- what operations use ---

    @property
    def maildir(self) -> Maildir:
        """Raises MaildirUnusable, OSError."""
        if self._maildir is None:
            self._maildir = Maildir(self._path, self._owner, self.troubles, self._folders)
        return self._maildir

    def counted(self) -> Counted:
        """What a command adds and takes away. Raises MaildirUnusable, OSError."""
        return Counted(self.maildir.fd)

    @property
    def current(self) -> Selected:
        """The selected mailbox, where the table of commands says that there is one."""
        assert self.selected is not None, "the session asks for this only when a mailbox is selected"
        return self.selected

    def open_target(self, name: bytes) -> Mailbox:
        """A folder to put messages into; they stay \\Recent for whoever selects it. Raises StoreError, OSError."""
        try:
            mailbox = self.maildir.mailbox(name, read_only=True)
            mailbox.begin_list()
            return mailbox
        except ImpossibleMailbox as error:
            raise InvalidName(error.text) from error
        except (NoSuchMailbox, FileNotFoundError) as error:
            raise NoSuchTarget from error

    def select(self, name: bytes, *, read_only: bool) -> Selected:
        """Leave the selected mailbox for another. Raises StoreError, OSError."""
        self.deselect()
        self.selected = Selected(name, self.maildir.mailbox(name, read_only=read_only))
        self.selected.condstore = CONDSTORE in self.enabled
        self.selected.qresync = QRESYNC in self.enabled
        return self.selected

    def deselect(self) -> None:
        """Leave the selected mailbox, if there is one."""
        if self.selected is not None:
            self.selected.close()
            self.selected = None

    # --- commands ---

    def begin(self, request: Execute) -> Turn:
        """Carry out a command, or begin to, and say what else has changed. Raises nothing but bugs."""
        operation, arguments = request.command.operation, request.arguments
        assert operation is not None, "the session carries out the others"
        self._end_answering()
        self.tag = request.tag
        done = self._guarded(lambda: operation(self, arguments))
        if isinstance(done, Answer):
            return b"", self._with_news(done, request.command)
        self._answering = (done, request.command)
        return self.go_on()

    def go_on(self) -> Turn:
        """The next turn of the answer that was begun."""
        assert self._answering is not None
        data, answer = self._take_turn(*self._answering)
        if answer is not None:
            self._end_answering()
        return data, answer

    def _take_turn(self, answering: Answering, command: Command) -> Turn:
        pieces: list[bytes] = []
        size = 0
        end_of_turn = time.monotonic() + TURN_SECONDS
        try:
            while size < TURN_BYTES and (not pieces or time.monotonic() < end_of_turn):
                piece = next(answering)
                pieces.append(piece)
                size += len(piece)
        except StopIteration as end:
            return b"".join(pieces), self._with_news(end.value, command)
        except AnswerCut:
            return b"".join(pieces), CutShort()
        except (NoSuchMessage, StoreError, OSError) as error:
            return b"".join(pieces), refusal(error)
        return b"".join(pieces), None

    def _end_answering(self) -> None:
        if self._answering is not None:
            self._answering[0].close()
            self._answering = None

    def _with_news(self, answer: Answer, command: Command | None = None) -> Answer:
        selected = self.selected
        if selected is None or answer.kind == b"BAD" or answer.selected is not None:
            return answer
        expunge, uid = (command.tells_expunged, command.by_uid) if command else (True, False)
        return replace(answer, lines=answer.lines + self._news(selected, expunge=expunge, uid=uid))

    def _news(self, selected: Selected, *, expunge: bool, uid: bool) -> tuple[bytes, ...]:
        try:
            return selected.tell(expunge=expunge, uid=uid)
        except (StoreError, OSError):
            return ()  # the command itself was carried out; whoever asks next will hear

    def _guarded(self, run: Callable[[], Result]) -> Result | Answer:
        try:
            return run()
        except (NoSuchMessage, StoreError, OSError) as error:
            return refusal(error)

    # --- IDLE ---

    def news(self) -> Updates:
        """What has changed in the selected mailbox."""
        if self.selected is None:
            return Updates(())
        self.selected.mailbox.keep(None)  # who waits asks for no more pieces
        return Updates(self._news(self.selected, expunge=True, uid=False))

    # --- APPEND ---

    def append_begin(self, request: AppendBegin) -> Ready | Answer:
        """Make ready for a message. After a refusal nothing of the whole command is kept."""
        answer = self._guarded(lambda: self._append_begin(request))
        if isinstance(answer, Answer):
            self._abort()
        return answer

    def _append_begin(self, request: AppendBegin) -> Ready:
        if self._incoming is None:
            name = request.arguments.mailbox
            self._incoming = Incoming(self.open_target(name), name, self.counted())
        self._incoming.admit(request.size)
        flags = parse_flags(request.arguments.flags)
        words = flags.keywords and canonical(flags.keywords, self._incoming.known_keywords())
        self._incoming.begin(FlagSet(flags.letters, words), request.arguments.date)
        return Ready()

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
            answer = self._guarded(incoming.commit)
        finally:
            incoming.abort()
        return self._with_news(answer)

    def append_abort(self) -> Ready:
        """Store nothing."""
        self._abort()
        return Ready()

    def _abort(self) -> None:
        if self._incoming is not None:
            self._incoming.abort()
            self._incoming = None


def refusal(error: NoSuchMessage | StoreError | OSError) -> Answer:
    """NO, with the code of RFC 5530 that fits; BAD for a message number beyond the last."""
    if isinstance(error, NoSuchMessage):
        return Answer(b"BAD", replies.NO_SUCH_MESSAGE)
    if isinstance(error, StoreError):
        return Answer(b"NO", error.text, code=error.code)
    if error.errno in _FULL:
        return Answer(b"NO", replies.DISK_FULL, code=replies.CODE_OVER_QUOTA, why=str(error))
    return Answer(b"NO", replies.FAILED_FOR_NOW, code=replies.CODE_UNAVAILABLE, why=str(error))
