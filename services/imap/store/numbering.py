"""A folder's UIDs: numbering its messages by claiming the next list file, or without one where none can be stored."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping

from services.imap import replies
from services.imap.store import snapshot, uidstore
from services.imap.store.errors import Busy
from services.imap.store.snapshot import File
from services.imap.store.transient import TransientList, forget_transient, transient_list
from services.imap.store.uidlist import ListFile, UidList
from services.imap.store.validity import next_validity

_CLAIM_TRIES = 50
# A whole list is written instead of an increment once so many more entries are dead than alive.
_DEAD_ENTRIES = 1000
# A list can be done without: mail that can be read, or deleted to make room, is more than its number.
_UNSTORED = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM))

Files = Mapping[bytes, File]


class Numbering:
    """Of an open folder. `note`: takes a path below the folder that cannot be used, and why."""

    def __init__(self, maildir: int, folder: int, note: Callable[[bytes, OSError], None]) -> None:
        self.list: UidList | None = None
        self._maildir = maildir
        self._folder = folder
        self._note = note
        self._transient: TransientList | None = None
        self._told = False
        #: UIDVALIDITY and number of entries, as of the last look at the list.
        self._seen = (0, 0)

    @property
    def sticky(self) -> bool:
        """Whether the UIDs are stored, so that the next session has the same."""
        return self._transient is None

    def told(self) -> None:
        """A client knows the UIDs now: they must stay what they are."""
        self._told = True

    def known(self) -> UidList:
        """The list as it is before anything is done, the empty one where there is none. Raises OSError, Busy."""
        if self._transient is not None:
            return self._transient.state
        try:
            state = uidstore.read_list(self._folder, self._stored)
        except PermissionError:
            if self._told:
                raise
            return UidList()
        if state.validity:
            self.list = state
        return state

    def number(self, files: Files, fresh: Iterable[bytes], recent: set[int] | None) -> bool:
        """Give every message its UID, and take what is \\Recent; False where some must wait. Raises OSError, Busy.

        `fresh`: those that may have none yet. `recent`: takes the UIDs that this session is the first to see; None: it
        only reads, and new mail stays \\Recent for somebody else."""
        if self._transient is not None:
            return self._number_unstored(self._transient, files, recent)
        try:
            self._number_stored(files, fresh, recent)
        except OSError as error:
            if error.errno not in _UNSTORED:
                raise
            self._note(uidstore.DIRECTORY, error)
            return self._do_without(files, recent, error)
        return True

    def _do_without(self, files: Files, recent: set[int] | None, error: OSError) -> bool:
        """Nothing can be stored. Mail that has its UIDs is shown by them, and the rest when it has some; where nothing
        would be shown everything is, by UIDs that are not stored."""
        if self._told or (self.list is not None and any(base in self.list.uids for base in files)):
            if self.list is None:
                raise error
            return False
        self._transient = transient_list(self._maildir, self._folder)
        return self._number_unstored(self._transient, files, recent)

    def _number_unstored(self, transient: TransientList, files: Files, recent: set[int] | None) -> bool:
        self.list = transient.number(_in_order(files, files, first=True))
        if recent is not None:
            recent.update(self.list.uids[base] for base in files if _is_new(files, base))
        return True

    # --- by list files ---

    @property
    def _stored(self) -> UidList | None:
        return self.list if self.list and self.list.number else None

    def _number_stored(self, files: Files, fresh: Iterable[bytes], recent: set[int] | None) -> None:
        for _ in range(_CLAIM_TRIES):
            state = self._read_list()
            new = [base for base in (files if self._begun_anew(state) else fresh) if base not in state.uids]
            new = [base for base in new if base in files]
            if state.number and not new and (recent is None or not _claimable(state, files)):
                return
            if self._claim(state, _in_order(new, files, first=state.number == 0), files, recent):
                forget_transient(self._folder)
                return
        raise Busy(replies.MAILBOX_BUSY)

    def _begun_anew(self, state: UidList) -> bool:
        """Whether the list may know less than it did: who wrote it as a whole may have overlooked somebody."""
        seen, self._seen = self._seen, (state.validity, len(state.uids))
        return seen[0] != state.validity or seen[1] > len(state.uids)

    def _read_list(self) -> UidList:
        state = uidstore.read_list(self._folder, self._stored)
        if not state.validity:
            imported = uidstore.read_courier(self._folder) if state.number == 0 else None
            if imported is not None:
                state = imported
            else:
                state.validity = next_validity(self._maildir)
        self.list = state
        return state

    def _claim(self, state: UidList, new: list[bytes], files: Files, taken: set[int] | None) -> bool:
        entries = tuple(enumerate(new, state.next_uid))
        after = state.next_uid + len(entries)
        unclaimed = state.recent
        if state.number == 0:
            # What lies in cur of a folder that we never saw was seen by whoever put it there.
            unclaimed = min((uid for uid, base in entries if _is_new(files, base)), default=after)
        recent = unclaimed if taken is None else after
        mostly_dead = len(state.uids) > 2 * len(files) + _DEAD_ENTRIES
        whole = state.chain == 0 or state.chain >= uidstore.longest_chain(len(state.uids)) or mostly_dead
        kept = tuple(self._alive(state, entries, files)) if whole else entries
        below = b"" if whole else state.sum
        file = ListFile(state.number + 1, state.validity, after, recent, below, kept, b"")
        if not uidstore.claim(self._folder, file):
            return False
        if whole:
            uidstore.clean_below(self._folder, file.number)
        if taken is not None:
            taken.update(range(unclaimed, after))
        self.list = uidstore.read_list(self._folder, state if state.chain else None)
        return True

    def _alive(self, state: UidList, entries: Iterable[tuple[int, bytes]], files: Files) -> list[tuple[int, bytes]]:
        again = snapshot.scan(self._folder) if state.uids.keys() - files.keys() else {}
        kept = [(uid, base) for base, uid in state.uids.items() if base in files or base in again]
        return sorted([*kept, *entries])


def _claimable(state: UidList, files: Files) -> bool:
    return state.recent < state.next_uid and any(base in files for _, base in state.since(state.recent))


def _in_order(bases: Iterable[bytes], files: Files, *, first: bool) -> list[bytes]:
    """In the order to give UIDs in: by the time in their names; of a folder never numbered what is new comes last."""
    return sorted(bases, key=lambda base: (first and _is_new(files, base), _time_of(base), base))


def _is_new(files: Files, base: bytes) -> bool:
    return files[base].path.startswith(b"new/")


def _time_of(base: bytes) -> int:
    digits = base.split(b".", 1)[0]
    return int(digits) if digits.isdigit() and len(digits) < 20 else 0
