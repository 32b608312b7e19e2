"""An open folder, as one session has it: what it may do, what is \\Recent to it, the file that it keeps. Blocking."""

from __future__ import annotations

import os
import threading

from services.imap.flags import Keywords
from services.imap.store.cache import MailboxCache
from services.imap.store.folder import Folder, open_folder
from services.imap.store.folders import Folders
from services.imap.store.keywords import KeywordTable
from services.imap.store.known import KnownFile
from services.imap.store.message import Message
from services.imap.store.snapshot import File
from services.imap.store.troubles import Troubles


class Mailbox:
    """`read_only`: nothing on disk is changed but UID lists; new mail stays new and \\Recent for somebody else.

    `folders`: where other sessions of the process find the folder's view; without it is this session's alone."""

    def __init__(
        self,
        maildir: int,
        directory: bytes,
        *,
        read_only: bool,
        troubles: Troubles | None = None,
        folders: Folders | None = None,
    ) -> None:
        self._directory = directory
        self._troubles = troubles
        self._folders = folders
        if folders is not None:
            self.folder = folders.enter(maildir, directory, self.note)
        else:
            self.folder = Folder(maildir, open_folder(maildir, directory), self.note)
        self._open = True
        #: Asked for, or because the disk is: what STORE cannot keep is not to be offered.
        self.read_only = read_only or bool(os.fstatvfs(self.fd).f_flag & os.ST_RDONLY)
        #: UIDs that this session was the first to see; when read-only, that nobody has seen.
        self.recent: set[int] = set()
        self._gone = False
        self._version = -1
        self._recent_from = 1
        self._kept: KnownFile | None = None

    def close(self) -> None:
        """Give the directory back, and the file that was kept."""
        self.keep(None)
        if not self._open:
            return
        self._open = False
        if self._folders is not None:
            self._folders.leave(self.folder)
        else:
            self.folder.close()

    @property
    def fd(self) -> int:
        """The folder's directory."""
        return self.folder.fd

    @property
    def lock(self) -> threading.RLock:
        """The folder's: hold it where what was seen must still hold when it is used."""
        return self.folder.lock

    @property
    def messages(self) -> dict[int, Message]:
        """By UID, in order, as of the last look that anybody has taken."""
        return {} if self._gone else self.folder.messages

    @property
    def cache(self) -> MailboxCache:
        """As `Folder.cache`."""
        return self.folder.cache

    @property
    def keyword_table(self) -> KeywordTable:
        """All keywords of the folder."""
        return self.folder.keyword_table

    @property
    def validity(self) -> int:
        """UIDVALIDITY."""
        return self.folder.validity

    @property
    def sticky(self) -> bool:
        """Whether the UIDs are stored, so that the next session has the same."""
        return self.folder.sticky

    @property
    def next_uid(self) -> int:
        """UIDNEXT: no message that is not shown yet has a lower UID."""
        return self.folder.next_uid

    @property
    def first_unclaimed(self) -> int:
        """The first UID that no session has been told as \\Recent."""
        return self.folder.first_unclaimed

    def unseen(self) -> tuple[int, int | None]:
        """As `Folder.unseen`."""
        return self.folder.unseen()

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
        self.folder.touched()

    def begin_list(self) -> None:
        """Number what is there if nothing ever was, so that what is put in afterwards counts as \\Recent.

        Raises as `refresh` does."""
        if not self.folder.has_list():
            self.refresh()

    def refresh(self) -> bool:
        """Look at the folder again; False when nothing can have changed since this session last did.

        Raises OSError: FileNotFoundError when the folder is gone. Raises Busy."""
        folder = self.folder
        with folder.lock:
            folder.note = self.note
            folder.refresh(None if self.read_only else self.recent)
            if self.read_only:
                # EXAMINE shows what is \\Recent without taking it (RFC 3501 section 6.3.2).
                self.recent.update(folder.unclaimed_from(self._recent_from))
                self._recent_from = folder.next_uid
            changed = self._version != folder.version
        if self._kept is not None and self._kept.uid not in self.messages:
            self.keep(None)  # the room that it took on the disk is free now
        return changed

    def lost(self) -> None:
        """The folder is gone: it has no messages any more."""
        self._gone = True

    def take_changes(self) -> set[int] | None:
        """UIDs that may have changed since this was last asked; None: all."""
        folder = self.folder
        with folder.lock:
            before, self._version = self._version, folder.version
            return None if self._gone else folder.changed_since(before)

    def find(self, uid: int) -> Message | None:
        """As `Folder.find`."""
        return self.folder.find(uid)

    def replace(self, uid: int, file: File, words: Keywords | None = None) -> Message:
        """As `Folder.replace`."""
        return self.folder.replace(uid, file, words)

    def uid_of(self, base: bytes) -> int | None:
        """As `Folder.uid_of`."""
        return self.folder.uid_of(base)

    def keyword_names(self) -> list[bytes]:
        """As `Folder.keyword_names`."""
        return self.folder.keyword_names()
