"""An account's Maildir and the folders in it: finding, making, deleting, renaming (Maildir++). Blocking."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path

from qmail.maildir.parts import make_missing
from services.imap import replies
from services.imap.store import files, names
from services.imap.store.errors import AlreadyExists, ImpossibleMailbox, InvalidName, MaildirUnusable, NoSuchMailbox
from services.imap.store.folders import Folders
from services.imap.store.mailbox import Mailbox
from services.imap.store.troubles import Troubles

FOLDER_MARK = b"maildirfolder"
_DOOMED = b"..deleted."
# A loop of symbolic links or somebody else's directory is none of this account's folders, and hides none of the others.
_NO_FOLDER = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENAMETOOLONG))


class Maildir:
    """Held open by its directory. `owner`: the uid that it must belong to; None: whoever may open it. `folders`: the
    views that sessions share.

    Raises MaildirUnusable when it is missing or not the account's."""

    def __init__(
        self, path: Path, owner: int | None = None, troubles: Troubles | None = None, folders: Folders | None = None
    ) -> None:
        self.path = path
        self._folders = folders
        self.troubles = troubles or Troubles(path)
        try:
            # A Maildir may be a symbolic link: it is followed with the account's own rights.
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            self.troubles.note(b"", error)
            raise MaildirUnusable(replies.NO_MAILDIR) from error
        except OSError as error:
            self.troubles.note(b"", error)
            raise MaildirUnusable(replies.MAILDIR_CLOSED) from error
        try:
            found = os.fstat(self.fd).st_uid
            if owner is not None and found != owner:
                self.troubles.note(b"", OSError(f"it belongs to uid {found}, the account is uid {owner}"))
                raise MaildirUnusable(replies.MAILDIR_FOREIGN)
            self._check_complete()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the directory back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _check_complete(self) -> None:
        try:
            make_missing(self.fd)
        except (FileNotFoundError, NotADirectoryError) as error:
            self.troubles.note(b"cur", error)
            raise MaildirUnusable(replies.MAILDIR_INCOMPLETE) from error
        except PermissionError as error:
            self.troubles.note(b"cur", error)
            raise MaildirUnusable(replies.MAILDIR_FOREIGN) from error

    def _has_folder(self, directory: bytes) -> bool:
        """Whether there is a folder that this account may enter. Raises OSError for trouble that may pass."""
        try:
            status = os.stat(os.path.join(directory, b"cur"), dir_fd=self.fd)
        except OSError as error:
            if error.errno == errno.EACCES:
                self.troubles.note(directory, error)
            if error.errno in _NO_FOLDER:
                return False
            raise
        return stat.S_ISDIR(status.st_mode)

    def folders(self) -> dict[bytes, bytes]:
        """The folders: name on the wire to directory. INBOX is always there. Raises OSError."""
        found = {names.INBOX: b""}
        for entry in sorted(map(os.fsencode, os.listdir(self.fd))):
            named = entry.startswith(b".") and not entry.startswith(b"..") and entry != b"."
            if named and self._has_folder(entry):
                found.setdefault(names.wire_name(entry), entry)
        return found

    def directory_of(self, name: bytes) -> bytes:
        """The directory of an existing folder. Raises NoSuchMailbox, also for impossible names."""
        try:
            candidates = names.directories(name)
        except InvalidName as error:
            raise ImpossibleMailbox from error
        for directory in candidates:
            if self._has_folder(directory):
                make_missing(self.fd, directory and directory + b"/")
                return directory
        raise NoSuchMailbox

    def mailbox(self, name: bytes, *, read_only: bool) -> Mailbox:
        """An existing folder, opened. Raises NoSuchMailbox, OSError."""
        return self.open(self.directory_of(name), read_only=read_only)

    def open(self, directory: bytes, *, read_only: bool) -> Mailbox:
        """The folder of a directory, opened. Raises OSError."""
        return Mailbox(self.fd, directory, read_only=read_only, troubles=self.troubles, folders=self._folders)

    def exists(self, name: bytes) -> bool:
        """Whether there is such a folder."""
        try:
            self.directory_of(name)
        except NoSuchMailbox:
            return False
        return True

    def create(self, name: bytes) -> bytes:
        """Make a folder; its directory. Raises InvalidName, AlreadyExists, OSError.

        Made under another name and renamed, so that it is whole or not there."""
        directory = names.directories(name)[0]
        if self.exists(name):
            raise AlreadyExists
        made = b"tmp/" + files.unique_name().encode()
        os.mkdir(made, 0o700, dir_fd=self.fd)
        try:
            for part in (b"cur", b"new", b"tmp"):
                os.mkdir(made + b"/" + part, 0o700, dir_fd=self.fd)
            files.write_new(self.fd, made + b"/" + FOLDER_MARK, b"")
            self._rename(made, directory)
        except BaseException:
            self._remove(made)
            raise
        return directory

    def _rename(self, old: bytes, new: bytes) -> None:
        try:
            os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise AlreadyExists from error
            raise
        os.fsync(self.fd)

    def delete(self, name: bytes) -> None:
        """Delete a folder with its messages; children stay. Raises NoSuchMailbox, InvalidName, OSError."""
        directory = self.directory_of(name)
        if not directory:
            raise InvalidName(replies.INBOX_STAYS)
        doomed = _DOOMED + files.unique_name().encode()
        try:
            os.rename(directory, doomed, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except FileNotFoundError as error:
            raise NoSuchMailbox from error
        self._sweep()

    def _sweep(self) -> None:
        """Remove deleted folders, also those that a crash has left."""
        for entry in os.listdir(self.fd):
            if entry.startswith(_DOOMED.decode()):
                self._remove(os.fsencode(entry))

    def _remove(self, directory: bytes) -> None:
        # What cannot be removed now is swept with the next folder that is deleted.
        with contextlib.suppress(OSError):
            shutil.rmtree(os.path.join(os.fsencode(self.path), directory))

    def rename(self, name: bytes, to: bytes) -> None:
        """Rename a folder and all below it. Raises NoSuchMailbox, AlreadyExists, InvalidName, OSError.

        Children first: after a crash in between the same command finishes the work."""
        target = names.directories(to)[0]
        if not target or to.startswith(name + b"."):
            raise InvalidName
        if self.exists(to):
            raise AlreadyExists
        folders = self.folders()
        below = sorted(child for child in folders if child.startswith(name + b"."))
        if name not in folders and not below:
            raise NoSuchMailbox
        for child in below:
            new = to + child[len(name) :]
            if new in folders:
                raise AlreadyExists(replies.CHILD_EXISTS)
        for child in below:
            self._rename(folders[child], names.directories(to + child[len(name) :])[0])
        if name in folders:
            self._rename(folders[name], target)
