"""An open folder: its messages with their UIDs, flags and keywords, as of the last `refresh`. Blocking."""

from __future__ import annotations

import os
from dataclasses import dataclass

from services.imap.flags import NONE, Keywords
from services.imap.store import files, keywords, snapshot, uidstore
from services.imap.store.keywords import KeywordTable
from services.imap.store.known import KnownFile
from services.imap.store.numbering import Numbering
from services.imap.store.snapshot import File, Stamp
from services.imap.store.troubles import Troubles

# So often the folder is looked at again because another session numbered what we had not seen.
_LOOKS = 3


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
        #: Asked for, or because the disk is: what STORE cannot keep is not to be offered.
        self.read_only = read_only or bool(os.fstatvfs(self.fd).f_flag & os.ST_RDONLY)
        self.messages: dict[int, Message] = {}
        self.keyword_table = KeywordTable()
        self._keywords_known = False
        self._kept: KnownFile | None = None
        self._directory = directory
        self._troubles = troubles
        self._numbering = Numbering(maildir, self.fd, read_only=self.read_only, note=self.note)
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
        known = self._numbering.list
        return known.validity if known else 0

    @property
    def sticky(self) -> bool:
        """Whether the UIDs are stored, so that the next session has the same."""
        return self._numbering.sticky

    @property
    def recent(self) -> set[int]:
        """UIDs that this session was the first to see; when read-only, that nobody has seen."""
        return self._numbering.recent

    @property
    def next_uid(self) -> int:
        """UIDNEXT: no message that is not shown yet has a lower UID."""
        return self._shown_below

    @property
    def first_unclaimed(self) -> int:
        """The first UID that no session has been told as \\Recent."""
        known = self._numbering.list
        return known.recent if known else 1

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
        self._numbering.told()
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
        known = self._numbering.list
        return known.uids.get(base) if known else None

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
        numbered = self._numbering.list
        assert numbered is not None
        known, uids, words = self.messages, numbered.uids, self.keyword_table.of
        fresh: dict[int, Message] = {}
        below = self._shown_below
        for uid, base in sorted((uids[base], base) for base in self._files if uids.get(base, below) < below):
            file, mine, old = self._files[base], words.get(base, NONE), known.get(uid)
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
            before = self._numbering.known()
            awaited = [base for base, uid in before.uids.items() if uid >= self._shown_below]
            self._files = snapshot.scan_surely(self.fd, self._files, awaited)
            if not self._numbering.number(self._files):
                self._stamp.forget()
            overlooked = self._overlooked(before.next_uid)
            if not overlooked:
                known = self._numbering.list
                self._shown_below = known.next_uid if known else 1
                return
        # Others number faster than we look: the rest is shown next time.
        self._shown_below = min(overlooked)
        self._stamp.forget()

    def _overlooked(self, before: int) -> list[int]:
        """UIDs given since UIDNEXT was `before` to what is not among our files. What was numbered earlier and is not
        there is gone."""
        known = self._numbering.list
        assert known is not None
        if known.next_uid == before:
            return []
        return [uid for base, uid in known.uids.items() if uid >= before and base not in self._files]
