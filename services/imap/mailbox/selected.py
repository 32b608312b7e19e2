"""The selected mailbox of one session: the folder on disk, and what the client was told of it. Blocking."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

from services.imap import replies
from services.imap.flags import MAX_KEYWORDS, SYSTEM, render_flags
from services.imap.grammar.sequence import SequenceSet, positions_of_uids, sequence_numbers
from services.imap.mailbox.view import Changes, View
from services.imap.store.cache import MailboxCache
from services.imap.store.mailbox import Mailbox
from services.imap.store.message import Message
from services.imap.store.modseqs import ModSeqs


class NoSuchMessage(Exception):
    """A message number beyond the last (RFC 3501 section 2.3.1.2)."""


class Watcher(Protocol):
    """Has lines to tell when messages change; both are told with the UIDs that the client knows."""

    def removed(self, selected: Selected, uids: Sequence[int]) -> list[bytes]:
        """These messages are about to be told as gone."""

    def changed(self, selected: Selected, uids: Sequence[int]) -> list[bytes]:
        """These messages are new, or have other flags."""


# Of one session. Each is asked about every message that changes.
MAX_CONTEXTS = 16


class Selected:
    """Made by SELECT and EXAMINE; one thread at a time uses it."""

    def __init__(self, name: bytes, mailbox: Mailbox) -> None:
        self.name = name
        self.mailbox = mailbox
        self.view = View()
        self._keywords: list[bytes] = []
        #: UIDs of the result that `$` stands for (RFC 5182), ascending.
        self.saved: tuple[int, ...] = ()
        #: By tag (RFC 5267).
        self.contexts: dict[bytes, Watcher] = {}
        #: What this session has changed itself since contexts were last asked.
        self._touched: set[int] = set()
        #: Whether the client is told mod-sequences, and UIDs of what is gone instead of numbers (RFC 7162).
        self.condstore = False
        self.qresync = False

    def close(self) -> None:
        """Give the directory back."""
        self.mailbox.close()

    @property
    def cache(self) -> MailboxCache:
        """As `Folder.cache`."""
        return self.mailbox.cache

    @property
    def keywords(self) -> list[bytes]:
        """The folder's keywords."""
        return self.mailbox.keyword_table.names

    def targets(self, messages: SequenceSet, *, uid: bool) -> list[int]:
        """The UIDs of the messages meant. Raises NoSuchMessage for numbers."""
        uids = self.view.uids
        if messages.saved:
            return [one for one in self.saved if self.view.has(one)]
        if uid:
            return [uids[position] for position in positions_of_uids(messages, uids)]
        numbers = sequence_numbers(messages, len(uids))
        if numbers is None:
            raise NoSuchMessage
        return [uids[number - 1] for number in numbers]

    def begin(self) -> Changes:
        """The first look, for SELECT's own answer."""
        with self.mailbox.lock:
            self.mailbox.refresh()
            self._keywords = list(self.keywords)
            return self._update(expunge=True)

    def tell(self, *, expunge: bool, uid: bool = False) -> tuple[bytes, ...]:
        """Look at the folder and say what has changed. A folder that is gone has no messages any more."""
        with self.mailbox.lock:
            try:
                changed = self.mailbox.refresh()
            except FileNotFoundError:
                self.mailbox.lost()
                changed = True
            if not (changed or (expunge and self.view.behind) or self._touched):
                return ()
            self._track()
            gone = self._gone() if expunge and (self.contexts or self.qresync) else []
            gained = (*self.tell_new_keywords(), *self._contexts_removed(gone))
            before = len(self.view.uids)
            changes = self._update(expunge=expunge)
            lines = (*gained, *self._render(changes, gone, uid=uid), *self._tell_lost_keywords())
            added = self.view.uids[before - len(changes.expunged) :] if self.contexts else ()
        return (*lines, *self._contexts_changed((*changes.flags, *added)))

    def _update(self, *, expunge: bool) -> Changes:
        mailbox = self.mailbox
        return self.view.update(mailbox.messages, mailbox.recent, expunge=expunge, changed=mailbox.take_changes())

    def watch(self, tag: bytes, context: Watcher) -> bool:
        """Keep the client informed of a result; False: of too many already."""
        if len(self.contexts) >= MAX_CONTEXTS and tag not in self.contexts:
            return False
        self.contexts[tag] = context
        return True

    def told(self, message: Message) -> None:
        """The client knows these flags of the message now, which this session has changed."""
        self.view.told(message)
        if self.contexts:
            self._touched.add(message.uid)

    def track(self) -> ModSeqs:
        """The mod-sequences as they are now. Raises OSError."""
        return self.mailbox.folder.track()

    def _track(self) -> None:
        if self.condstore:
            with contextlib.suppress(OSError):  # who asks for a mod-sequence will be told
                self.track()

    def modseq_line(self, uid: int, *, by_uid: bool) -> bytes:
        """`* 7 FETCH (MODSEQ (12))`: the message was changed as the client has asked."""
        item = b"MODSEQ (%d)" % self.modseq(uid)
        return replies.fetch(self.view.number(uid), b"UID %d %b" % (uid, item) if by_uid or self.qresync else item)

    def begin_condstore(self) -> tuple[bytes, ...]:
        """The client has asked for mod-sequences: from now on it is told them. Raises OSError."""
        if self.condstore:
            return ()
        self.condstore = True
        return (replies.highest_modseq(self.track().highest),)

    def modseq(self, uid: int) -> int:
        """A message's mod-sequence as of the last look."""
        return self.mailbox.folder.modseqs.of(uid)

    def _gone(self) -> list[int]:
        return [uid for uid in self.view.uids if uid not in self.mailbox.messages]

    def _contexts_removed(self, gone: Sequence[int]) -> list[bytes]:
        return [line for context in self.contexts.values() for line in context.removed(self, gone)]

    def _contexts_changed(self, uids: Sequence[int]) -> list[bytes]:
        changed = sorted(self._touched.union(uids)) if self.contexts else ()
        self._touched.clear()
        return [line for context in self.contexts.values() for line in context.changed(self, changed)]

    def tell_new_keywords(self) -> tuple[bytes, ...]:
        """FLAGS again when there are new keywords, as Courier does; before a message is told to have one."""
        new = [name for name in self.keywords if name not in self._keywords]
        return self._tell_keywords([*self._keywords, *new]) if new else ()

    def _tell_lost_keywords(self) -> tuple[bytes, ...]:
        """FLAGS again when keywords are gone; not while the client knows a message that has one."""
        lost = set(self._keywords).difference(self.keywords)
        if lost:
            lost -= self.view.keywords()
        return self._tell_keywords([name for name in self._keywords if name not in lost]) if lost else ()

    def _tell_keywords(self, names: list[bytes]) -> tuple[bytes, ...]:
        self._keywords = names
        return replies.flags(names, SYSTEM), self.permanent_flags()

    def permanent_flags(self) -> bytes:
        """PERMANENTFLAGS: what STORE would keep."""
        if self.mailbox.read_only:
            return replies.NO_PERMANENT_FLAGS
        return replies.permanent_flags(self._keywords, SYSTEM, more=len(self._keywords) < MAX_KEYWORDS)

    def _render(self, changes: Changes, gone: Sequence[int], *, uid: bool) -> list[bytes]:
        if self.qresync:
            lines = [replies.vanished(gone)] if gone else []
        else:
            lines = [replies.numbered(number, b"EXPUNGE") for number in changes.expunged]
        if changes.exists is not None:
            lines.append(replies.numbered(changes.exists, b"EXISTS"))
        if changes.recent is not None:
            lines.append(replies.numbered(changes.recent, b"RECENT"))
        lines += (self.flags_line(self.mailbox.messages[one], uid=uid) for one in changes.flags)
        return lines

    def flags_item(self, message: Message) -> bytes:
        """`FLAGS (\\Seen)`."""
        recent = message.uid in self.mailbox.recent
        return b"FLAGS " + render_flags(message.flags, message.keywords, recent=recent)

    def flags_line(self, message: Message, *, uid: bool) -> bytes:
        """`* 7 FETCH (FLAGS (\\Seen))`."""
        item = self.flags_item(message)
        if self.condstore:
            item += b" MODSEQ (%d)" % self.modseq(message.uid)
        if uid or self.qresync:
            item = b"UID %d %b" % (message.uid, item)
        return replies.fetch(self.view.number(message.uid), item)
