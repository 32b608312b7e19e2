"""An open folder: its messages with their UIDs, flags and keywords, as of the last `refresh`. Blocking."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass

from services.imap.store import files, keywords, snapshot, uidstore
from services.imap.store.errors import Busy
from services.imap.store.keywords import Keywords, KeywordTable
from services.imap.store.known import KnownFile
from services.imap.store.snapshot import File, Stamp
from services.imap.store.transient import TransientList, forget_transient, transient_list
from services.imap.store.troubles import Troubles
from services.imap.store.uidlist import ListFile, UidList
from services.imap.store.validity import next_validity

_CLAIM_TRIES = 50
# So often the folder is looked at again because another session numbered what we had not seen.
_LOOKS = 3
# A whole list is written instead of an increment once so many more entries are dead than alive.
_DEAD_ENTRIES = 1000
# A list can be done without: mail that can be read, or deleted to make room, is more than its number.
_UNSTORED = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM))


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `flags` are the letters of its file name, maildir(5)."""

    uid: int
    base: bytes
    path: bytes
    flags: bytes
    keywords: Keywords


class Mailbox:
    """A folder held open by its directory, so that it stays this folder whatever its name becomes.

    `read_only`: nothing on disk is changed but UID lists; new mail stays new and \\Recent for somebody else."""

    def __init__(self, maildir: int, directory: bytes, *, read_only: bool, troubles: Troubles | None = None) -> None:
        self.fd = os.open(directory or b".", files.DIRECTORY, dir_fd=maildir)
        self.read_only = read_only
        #: UIDs that this session was the first to see; when read-only, that nobody has seen.
        self.recent: set[int] = set()
        self.messages: dict[int, Message] = {}
        self.keyword_table = KeywordTable()
        self._keywords_known = False
        self._maildir = maildir
        self._kept: KnownFile | None = None
        self._directory = directory
        self._troubles = troubles
        self._list: UidList | None = None
        self._transient: TransientList | None = None
        self._looked = False
        self._files: dict[bytes, File] = {}
        self._shown_below = 1
        self._stamp = Stamp()

    def close(self) -> None:
        """Give the directory back, and the file that was kept."""
        self.keep(None)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def validity(self) -> int:
        """UIDVALIDITY."""
        return self._list.validity if self._list else 0

    @property
    def sticky(self) -> bool:
        """Whether the UIDs are stored, so that the next session has the same."""
        return self._transient is None

    @property
    def next_uid(self) -> int:
        """UIDNEXT: no message that is not shown yet has a lower UID."""
        return self._shown_below

    @property
    def first_unclaimed(self) -> int:
        """The first UID that no session has been told as \\Recent."""
        return self._list.recent if self._list else 1

    def keep(self, file: KnownFile | None) -> None:
        """Hold one open file for the next command, in place of that which was held; None: none."""
        kept, self._kept = self._kept, file
        if kept is not None:
            kept.close()

    def take_kept(self, uid: int) -> KnownFile | None:
        """The file that is held, if it is this message's; whoever takes it owns it."""
        if self._kept is None or self._kept.uid != uid:
            return None
        kept, self._kept = self._kept, None
        return kept

    def note(self, name: bytes, error: OSError) -> None:
        """Something in the folder cannot be used; name: its path from here."""
        if self._troubles is not None:
            self._troubles.note(os.path.join(self._directory, name), error)

    def note_message(self, uid: int, error: OSError) -> None:
        """A message's file cannot be read."""
        message = self.messages.get(uid)
        if message is not None:
            self.note(message.path, error)

    def touched(self) -> None:
        """This session changed the folder: the next refresh must look."""
        self._stamp.forget()

    def begin_list(self) -> None:
        """Number what is there if nothing ever was, so that what is put in afterwards counts as \\Recent.

        Raises as `refresh` does."""
        try:
            begun = uidstore.has_list(self.fd)
        except PermissionError:
            begun = False
        if not begun:
            self.refresh()

    def refresh(self) -> bool:
        """Look at the folder again; False when nothing can have changed.

        Raises OSError: FileNotFoundError when the folder is gone. Raises Busy."""
        if not self._stamp.changed(self.fd):
            return False
        try:
            self._look()
            if not self.read_only:
                snapshot.move_new(self.fd, self._files)
            self._read_keywords()
        except BaseException:
            self._stamp.forget()
            raise
        self._rebuild()
        self._looked = True
        return True

    def find(self, uid: int) -> Message | None:
        """A message's file as it is named now, after its old name was not found; None when it is gone.

        Where one was renamed or removed many were, so what is seen counts for all messages: those that are gone are no
        messages any more."""
        if uid in self.messages:
            self._see_names()
        return self.messages.get(uid)

    def _see_names(self) -> None:
        shown = tuple(self.messages.values())
        found = snapshot.scan_surely(self.fd, self._files, [message.base for message in shown])
        for message in shown:
            file = found.get(message.base)
            if file is None:
                del self.messages[message.uid]
                self._files.pop(message.base, None)
            elif file.path != message.path:
                self.replace(message.uid, file)

    def replace(self, uid: int, file: File, words: Keywords | None = None) -> Message:
        """Note what this session has done to a message."""
        known = self.messages[uid]
        words = known.keywords if words is None else words
        self._files[known.base] = file
        self.messages[uid] = message = Message(uid, known.base, file.path, file.flags, words)
        return message

    def uid_of(self, base: bytes) -> int | None:
        """The UID of a file by its unique name, after a refresh."""
        return self._list.uids.get(base) if self._list else None

    def keyword_names(self) -> list[bytes]:
        """The folder's keywords, read where no refresh has read them. Raises OSError, Busy."""
        if not self._keywords_known:
            self.keyword_table = keywords.read_keywords(self.fd)
            self._keywords_known = True
        return self.keyword_table.names

    def _read_keywords(self) -> None:
        try:
            self.keyword_table = keywords.read_keywords(self.fd)
        except PermissionError as error:
            self.note(keywords.DIRECTORY, error)
        self._keywords_known = True
        if keywords.merge_due(self.keyword_table):
            keywords.merge(self.fd, self.keyword_table, self._files.keys())

    def _rebuild(self) -> None:
        assert self._list is not None
        known, uids, words = self.messages, self._list.uids, self.keyword_table.of
        fresh: dict[int, Message] = {}
        below = self._shown_below
        for uid, base in sorted((uids[base], base) for base in self._files if uids.get(base, below) < below):
            file, mine, old = self._files[base], words.get(base, keywords.NONE), known.get(uid)
            if old is None or old.path != file.path or old.keywords != mine:
                old = Message(uid, base, file.path, file.flags, mine)
            fresh[uid] = old
        if self.read_only:
            # EXAMINE shows what is \\Recent without taking it (RFC 3501 section 6.3.2).
            self.recent.update(uid for uid in fresh if uid >= self.first_unclaimed and uid not in known)
        self.messages = fresh
        if self._kept is not None and self._kept.uid not in fresh:
            self.keep(None)  # the room that it took on the disk is free now

    # --- looking and numbering ---

    def _look(self) -> None:
        """See what is there and number it. Nothing is shown above a UID that was given to what we did not see.

        Another session may see and number what comes after our look. Its UIDs may be below those that our own look
        leads to, and a client that was told of a higher one never asks for a lower one (RFC 3501 section 2.3.1.1)."""
        for _ in range(_LOOKS):
            before = self._known_list()
            awaited = [base for base, uid in before.uids.items() if uid >= self._shown_below]
            self._files = snapshot.scan_surely(self.fd, self._files, awaited)
            self._number()
            overlooked = self._overlooked(before.next_uid)
            if not overlooked:
                self._shown_below = self._list.next_uid if self._list else 1
                return
        # Others number faster than we look: the rest is shown next time.
        self._shown_below = min(overlooked)
        self._stamp.forget()

    def _known_list(self) -> UidList:
        """The list as it is before anything is done, the empty one where there is none."""
        if self._transient is not None:
            return self._transient.state
        try:
            state = uidstore.read_list(self.fd, self._list if self._list and self._list.number else None)
        except PermissionError:
            if self._looked:
                raise
            return UidList()
        if state.validity:
            self._list = state
        return state

    def _overlooked(self, before: int) -> list[int]:
        """UIDs given since UIDNEXT was `before` to what is not among our files. What was numbered earlier and is not
        there is gone."""
        assert self._list is not None
        if self._list.next_uid == before:
            return []
        return [uid for base, uid in self._list.uids.items() if uid >= before and base not in self._files]

    def _number(self) -> None:
        """Give every message its UID, and take what is \\Recent, by claiming the next list file."""
        if self._transient is not None:
            self._number_unstored(self._transient)
            return
        try:
            self._number_stored()
        except OSError as error:
            if error.errno not in _UNSTORED:
                raise
            self.note(uidstore.DIRECTORY, error)
            self._do_without(error)

    def _number_stored(self) -> None:
        for _ in range(_CLAIM_TRIES):
            state = self._read_list()
            new = self._unknown(state)
            if state.number and not new and not self._claimable(state):
                return
            if self._claim(state, new):
                forget_transient(self.fd)
                return
        raise Busy("The mailbox changes too fast.")

    def _do_without(self, error: OSError) -> None:
        """Nothing can be stored. Mail that has its UIDs is shown by them, and the rest when it has some; where nothing
        would be shown everything is, by UIDs that are not stored."""
        shown = self._list is not None and self._list.number and any(base in self._list.uids for base in self._files)
        if shown or self._looked:
            if self._list is None:
                raise error
            self._stamp.forget()
            return
        self._transient = transient_list(self._maildir, self.fd)
        self._number_unstored(self._transient)

    def _number_unstored(self, transient: TransientList) -> None:
        self._list = transient.number(self._in_order(self._files, first=True))
        if not self.read_only:
            self.recent.update(self._list.uids[base] for base in self._files if self._is_new(base))

    def _read_list(self) -> UidList:
        state = uidstore.read_list(self.fd, self._list if self._list and self._list.number else None)
        if not state.validity:
            first = state.number == 0
            imported = uidstore.read_courier(self.fd) if first else None
            if imported is not None:
                state = imported
            else:
                state.validity = next_validity(self._maildir)
        self._list = state
        return state

    def _unknown(self, state: UidList) -> list[bytes]:
        """Messages without a UID, in the order to give UIDs in: by the time in their names."""
        new = [base for base in self._files if base not in state.uids]
        return self._in_order(new, first=state.number == 0)

    def _in_order(self, bases: Iterable[bytes], *, first: bool) -> list[bytes]:
        """By age; of a folder that was never numbered what is new comes last."""
        return sorted(bases, key=lambda base: (first and self._is_new(base), _time_of(base), base))

    def _is_new(self, base: bytes) -> bool:
        return self._files[base].path.startswith(b"new/")

    def _claimable(self, state: UidList) -> bool:
        if self.read_only or state.recent >= state.next_uid:
            return False
        return any(state.uids[base] >= state.recent for base in self._files)

    def _claim(self, state: UidList, new: list[bytes]) -> bool:
        entries = tuple(enumerate(new, state.next_uid))
        after = state.next_uid + len(entries)
        unclaimed = state.recent
        if state.number == 0:
            # What lies in cur of a folder that we never saw was seen by whoever put it there.
            unclaimed = min((uid for uid, base in entries if self._is_new(base)), default=after)
        recent = unclaimed if self.read_only else after
        whole = state.chain == 0 or state.chain >= uidstore.longest_chain(len(state.uids)) or self._mostly_dead(state)
        kept = tuple(self._alive(state, entries)) if whole else entries
        below = b"" if whole else state.sum
        file = ListFile(state.number + 1, state.validity, after, recent, below, kept, b"")
        if not uidstore.claim(self.fd, file):
            return False
        if whole:
            uidstore.clean_below(self.fd, file.number)
        if not self.read_only:
            self.recent.update(range(unclaimed, after))
        self._list = uidstore.read_list(self.fd, state if state.chain else None)
        return True

    def _mostly_dead(self, state: UidList) -> bool:
        return len(state.uids) > 2 * len(self._files) + _DEAD_ENTRIES

    def _alive(self, state: UidList, entries: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        missing = state.uids.keys() - self._files.keys()
        again = snapshot.scan(self.fd) if missing else {}
        kept = [(uid, base) for base, uid in state.uids.items() if base in self._files or base in again]
        return sorted([*kept, *entries])


def _time_of(base: bytes) -> int:
    digits = base.split(b".", 1)[0]
    return int(digits) if digits.isdigit() and len(digits) < 20 else 0
