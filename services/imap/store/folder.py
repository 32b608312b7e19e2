"""A folder as this process knows it: one view for all sessions of an account that have it open, changed by steps.

A session holds what its client was told, and asks here what has changed since. Everything is done under the folder's
lock, on the one hand so that two sessions never look at the same thing twice, on the other so that what the kernel
tells of our own changes is heard after they are noted here. Blocking; runs as the account.

Why: docs/decisions/0033-one-view-of-a-folder.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable

from services.imap.flags import NONE, Keywords
from services.imap.store import files, keywords, snapshot, uidstore
from services.imap.store.cache import MailboxCache
from services.imap.store.keywords import KeywordTable
from services.imap.store.message import Message
from services.imap.store.modlog import FIRST
from services.imap.store.modseqs import ModSeqs
from services.imap.store.numbering import Numbering
from services.imap.store.snapshot import File, Files, Stamp
from services.imap.store.watch import Events, Watch, Watches

# So often the folder is looked at again because another session numbered what we had not seen.
_LOOKS = 3
#: So many changes are remembered, or two for each message; who has not looked for longer compares all messages.
MAX_CHANGES = 10_000

Note = Callable[[bytes, OSError], None]
Cached = Callable[[int, int], MailboxCache]


class Folder:
    """Held open by its directory, so that it stays this folder whatever its name becomes. `note`: as of Numbering.
    `cached`: opens the cache of a UIDVALIDITY.

    `messages`: by UID, in order; each a value that is replaced when it changes."""

    def __init__(
        self, maildir: int, fd: int, note: Note, *, watches: Watches | None = None, cached: Cached | None = None
    ) -> None:
        self.fd = fd
        self.lock = threading.RLock()
        self.messages: dict[int, Message] = {}
        self.keyword_table = KeywordTable()
        self.keywords_known = False
        self.note = note
        self._maildir = os.dup(maildir)
        self._cached = cached
        self._cache = MailboxCache()
        self._cache_of = 0
        self._numbering = Numbering(self._maildir, fd, lambda path, error: self.note(path, error))
        self._files = Files()
        self._shown_below = 1
        self._stamp = Stamp()
        #: Directories whose time has changed since the last refresh, and whether that is certain.
        self._times: dict[bytes, bool] = {}
        self._watches = watches
        self._watch: Watch | None = watches.begin(fd) if watches else None
        #: Names that may have no UID yet.
        self._fresh: set[bytes] = set()
        #: Whether all must be read, whatever the directories' times are.
        self._must_look = True
        #: Whether everything in new was moved and taken as \\Recent by somebody.
        self._tidy = False
        self._unseen_at = -1
        self._unseen_is: tuple[int, int | None] = (0, None)
        #: UIDs in the order of their changes; the first is change number `_first_change`.
        self._changes: list[int] = []
        self._first_change = 0
        self.modseqs = ModSeqs(fd)
        #: The version whose changes all have their mod-sequences.
        self._tracked = -1

    def close(self) -> None:
        """Give the directories back."""
        if self._watch is not None and self._watches is not None:
            self._watches.end(self._watch)
            self._watch = None
        self._cache.close()
        if self.fd >= 0:
            os.close(self.fd)
            os.close(self._maildir)
            self.fd = -1

    # --- what is known ---

    @property
    def cache(self) -> MailboxCache:
        """What was once computed from the messages; as long as UIDs are not stored nothing."""
        with self.lock:
            validity = self.validity if self.sticky else 0
            if validity != self._cache_of:
                self._cache.close()
                self._cache = self._cached(self._maildir, validity) if self._cached and validity else MailboxCache()
                self._cache_of = validity
            return self._cache

    @property
    def validity(self) -> int:
        """UIDVALIDITY."""
        known = self._numbering.list
        return known.validity if known else 0

    @property
    def sticky(self) -> bool:
        """Whether the UIDs are stored, so that the next session has the same."""
        return self._numbering.sticky

    @property
    def next_uid(self) -> int:
        """UIDNEXT: no message that is not shown yet has a lower UID."""
        return self._shown_below

    @property
    def first_unclaimed(self) -> int:
        """The first UID that no session has been told as \\Recent."""
        known = self._numbering.list
        return known.recent if known else 1

    def uid_of(self, base: bytes) -> int | None:
        """The UID of a file by its unique name, after a refresh."""
        known = self._numbering.list
        return known.uids.get(base) if known else None

    def unclaimed_from(self, first: int) -> list[int]:
        """UIDs of messages from `first` on that nobody has been told as \\Recent."""
        known = self._numbering.list
        entries = known.since(max(first, known.recent)) if known else []
        return [uid for uid, _ in entries if uid in self.messages]

    def unseen(self) -> tuple[int, int | None]:
        """How many messages are not \\Seen, and the first UID of them. Found once for each state of the folder."""
        with self.lock:
            if self._unseen_at != self.version:
                found = [uid for uid, message in self.messages.items() if b"S" not in message.flags]
                self._unseen_at, self._unseen_is = self.version, (len(found), found[0] if found else None)
            return self._unseen_is

    @property
    def version(self) -> int:
        """The number of the next change."""
        return self._first_change + len(self._changes)

    def changed_since(self, version: int) -> set[int] | None:
        """UIDs that were changed, gained or lost; None: that is not known any more."""
        if version < self._first_change:
            return None
        return set(self._changes[version - self._first_change :])

    def track(self) -> ModSeqs:
        """The mod-sequences of the messages as they are. Raises OSError where they cannot be written down."""
        with self.lock:
            looked = None if self._tracked < 0 else self.changed_since(self._tracked)
            self.modseqs.update(self.validity, self.messages, looked)
            self._tracked = self.version
            return self.modseqs

    def highest_modseq(self) -> int:
        """HIGHESTMODSEQ, as far as somebody has asked for mod-sequences; for who did not. Raises OSError."""
        return self.track().highest if self.modseqs.begun() else FIRST

    def _changed(self, uids: Iterable[int]) -> None:
        self._changes += uids
        if len(self._changes) > 2 * max(MAX_CHANGES, 2 * len(self.messages)):
            half = len(self._changes) // 2
            self._first_change += half
            del self._changes[:half]

    # --- looking ---

    def touched(self) -> None:
        """This process changed the folder: the next refresh must look."""
        if self._watch is None:
            self._must_look = True

    def refresh(self, recent: set[int] | None) -> None:
        """Look at the folder again, where anything can have changed. `recent`: as of Numbering.number.

        Raises OSError: FileNotFoundError when the folder is gone. Raises Busy."""
        with self.lock:
            try:
                events = self._hear()
                changed, self._times = self._times, {}
                self._refresh(recent, events, changed)
            except BaseException:
                self._must_look = True
                raise

    def _refresh(self, recent: set[int] | None, events: Events | None, changed: dict[bytes, bool]) -> None:
        tidies = recent is not None and not self._tidy
        if self._must_scan(events, changed):
            self._must_look = False
            self._look(recent)
            touched = None
        elif events or changed or tidies:
            touched = self._step(events or {}, recent)
        else:
            return
        moved: list[bytes] = []
        if recent is not None:
            if tidies or touched is None or any(self._is_new(base) for base in touched):
                moved = snapshot.move_new(self.fd, self._files)
            self._tidy = True
        else:
            self._tidy = False
        words = self._read_keywords() if touched is None or keywords.DIRECTORY in changed else set()
        self._rebuild(None if touched is None else {*touched, *moved, *words})
        self._numbering.told()

    def _hear(self) -> Events | None:
        """What the kernel tells; None: nothing can be learned from it. Takes the directories' times as well, so that
        all that they speak of was heard."""
        heard: Events | None = None if self._watch is None else {}
        for _ in range(_LOOKS):
            for name, sure in self._stamp.changed(self.fd).items():
                self._times[name] = sure or self._times.get(name, False)
            if self._watch is None or self._watches is None:
                return None
            events = self._watches.take(self._watch)
            if events is None:
                self._must_look, heard = True, None
            elif not events:
                break
            elif heard is not None:
                heard.update(events)
        return heard

    def _must_scan(self, events: Events | None, changed: dict[bytes, bool]) -> bool:
        """Whether the names must be read: they may have changed, and nobody has said how."""
        if self._must_look or self._files.doubled:
            return True
        named = [changed[name] for name in snapshot.NAMED if name in changed]
        return bool(named) if events is None else any(named) and not events

    def _is_new(self, base: bytes) -> bool:
        file = self._files.get(base)
        return file is not None and file.path.startswith(b"new/")

    def _step(self, events: Events, recent: set[int] | None) -> set[bytes] | None:
        """The names that are concerned; None: all, for they had to be read."""
        touched = snapshot.follow(self.fd, self._files, events)
        if touched is None:
            self._look(recent)
            return None
        below = self._shown_below
        before = self._numbering.known()
        next_uid = before.next_uid
        self._fresh |= touched
        if not self._numbering.number(self._files, self._fresh, recent):
            self._must_look = True
        if self._overlooked(next_uid):
            self._look(recent)
            return None
        self._fresh.clear()
        known = self._numbering.list
        assert known is not None
        self._shown_below = known.next_uid
        return touched.union(base for _, base in known.since(below))

    def _look(self, recent: set[int] | None) -> None:
        """See what is there and number it. Nothing is shown above a UID that was given to what we did not see.

        Another session may see and number what comes after our look. Its UIDs may be below those that our own look
        leads to, and a client that was told of a higher one never asks for a lower one (RFC 3501 section 2.3.1.1)."""
        for _ in range(_LOOKS):
            before = self._numbering.known()
            awaited = [base for _, base in before.since(self._shown_below)]
            self._files = snapshot.scan_surely(self.fd, self._files, awaited)
            if not self._numbering.number(self._files, self._files, recent):
                self._must_look = True
            overlooked = self._overlooked(before.next_uid)
            if not overlooked:
                known = self._numbering.list
                self._shown_below = known.next_uid if known else 1
                self._fresh.clear()
                return
        # Others number faster than we look: the rest is shown next time.
        self._shown_below = min(overlooked)
        self._must_look = True

    def _overlooked(self, before: int) -> list[int]:
        """UIDs given since UIDNEXT was `before` to what is not among our files. What was numbered earlier and is not
        there is gone."""
        known = self._numbering.list
        assert known is not None
        if known.next_uid == before:
            return []
        return [uid for uid, base in known.since(before) if base not in self._files]

    def _read_keywords(self) -> set[bytes]:
        """Names of messages whose keywords are others now."""
        before, names = self.keyword_table.of, self.keyword_table.names
        try:
            self.keyword_table = keywords.read_keywords(self.fd)
        except PermissionError as error:
            self.note(keywords.DIRECTORY, error)
        self.keywords_known = True
        if keywords.merge_due(self.keyword_table):
            keywords.merge(self.fd, self.keyword_table, self._files.keys())
        if self.keyword_table.names != names:
            self._changed((0,))  # no message's UID
        return {base for base, _ in before.items() ^ self.keyword_table.of.items()}

    def _rebuild(self, touched: set[bytes] | None) -> None:
        """Bring the messages of these names into line with what was seen; None: all."""
        numbered = self._numbering.list
        assert numbered is not None
        if touched is None:
            self._rebuild_all(numbered.uids)
            return
        changed = []
        for base in touched:
            uid = numbered.uids.get(base, self._shown_below)
            if uid >= self._shown_below:
                continue
            before, now = self.messages.get(uid), self._message(uid, base)
            if now is None:
                if self.messages.pop(uid, None) is not None:
                    changed.append(uid)
            elif now is not before:
                self.messages[uid] = now
                changed.append(uid)
        self._sort(changed)
        self._changed(changed)

    def _sort(self, changed: list[int]) -> None:
        last = list(zip(reversed(self.messages), range(len(changed) + 1), strict=False))
        uids = [uid for uid, _ in last]
        if uids != sorted(uids, reverse=True):
            self.messages = dict(sorted(self.messages.items()))

    def _rebuild_all(self, uids: dict[bytes, int]) -> None:
        below = self._shown_below
        known = self.messages
        fresh: dict[int, Message] = {}
        for uid, base in sorted((uids[base], base) for base in self._files if uids.get(base, below) < below):
            message = self._message(uid, base)
            assert message is not None
            fresh[uid] = message
        self.messages = fresh
        self._changed([uid for uid, message in fresh.items() if known.get(uid) is not message])
        self._changed([uid for uid in known if uid not in fresh])

    def _message(self, uid: int, base: bytes) -> Message | None:
        """The message as it is now: the value that stands, where nothing has changed."""
        file = self._files.get(base)
        if file is None:
            return None
        before, mine = self.messages.get(uid), self.keyword_table.of.get(base, NONE)
        if before is not None and before.base == base and before.path == file.path and before.keywords == mine:
            return before
        return Message(uid, base, file.path, file.flags, mine)

    # --- what a session does ---

    def find(self, uid: int) -> Message | None:
        """A message's file as it is named now, after its old name was not found; None when it is gone.

        Where one was renamed or removed many were, so what is seen counts for all messages: those that are gone are no
        messages any more."""
        with self.lock:
            before = self.messages.get(uid)
            if before is not None and not self._see_steps(before):
                self._see_names()
            return self.messages.get(uid)

    def _see_steps(self, before: Message) -> bool:
        """Whether what the kernel tells says what became of a message."""
        events = self._hear()
        if not events or self._must_look:
            return False
        touched = snapshot.follow(self.fd, self._files, events)
        if touched is None:
            self._must_look = True
            return False
        self._fresh |= touched
        self._tidy = False
        self._rebuild(touched)
        return self.messages.get(before.uid) is not before

    def _see_names(self) -> None:
        shown = tuple(self.messages.values())
        found = snapshot.scan_surely(self.fd, self._files, [message.base for message in shown])
        for message in shown:
            file = found.get(message.base)
            if file is None:
                del self.messages[message.uid]
                self._files.pop(message.base, None)
                self._changed((message.uid,))
            elif file.path != message.path:
                self.replace(message.uid, file)

    def replace(self, uid: int, file: File, words: Keywords | None = None) -> Message:
        """Note what a session has done to a message."""
        known = self.messages[uid]
        words = known.keywords if words is None else words
        self._files[known.base] = file
        self.messages[uid] = message = Message(uid, known.base, file.path, file.flags, words)
        self._changed((uid,))
        return message

    def keyword_names(self) -> list[bytes]:
        """The folder's keywords, read where no refresh has read them. Raises OSError, Busy."""
        with self.lock:
            if not self.keywords_known:
                self.keyword_table = keywords.read_keywords(self.fd)
                self.keywords_known = True
            return self.keyword_table.names

    def has_list(self) -> bool:
        """Whether the messages were ever numbered."""
        if self._numbering.list is not None:
            return True
        try:
            return uidstore.has_list(self.fd)
        except PermissionError:
            return False


def open_folder(maildir: int, directory: bytes) -> int:
    """The descriptor of a folder's directory. Raises OSError."""
    return os.open(directory or b".", files.DIRECTORY, dir_fd=maildir)
