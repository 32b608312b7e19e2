"""The maildrop on disk. Blocking: every function here runs in an `ActingPool` thread as the account."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from qmail.log.unusable import why_unusable
from qmail.maildir.names import base_name, parse_flags
from qmail.maildir.parts import make_missing
from qmail.maildir.quota import add
from qmail.maildir.reader import Entry, clean_tmp, move_to_cur, scan
from qmail.maildir.repeated import settle_repeated
from services.pop3.ahead import BYTES
from services.pop3.drops import Drop, Drops
from services.pop3.requests import Message, Refusal

READ_BYTES: Final = 128 * 1024
# Directory times come from the kernel's tick: a change so soon after another may leave them as they are.
_TICK_NS: Final = 20_000_000
T = TypeVar("T")


class MailboxError(Exception):
    """The mailbox cannot be opened; nothing was changed. `why`: for an administrator."""

    def __init__(self, refusal: Refusal, why: str) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.why = why


class Unusable(Exception):
    """A message file that is there and cannot be read or removed: where it lies, and why, for an administrator."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


def open_mailbox(maildir: Path, owner: int | None, drops: Drops | None = None, *, classic: bool) -> tuple[Message, ...]:
    """The messages by age, after sweeping tmp (qmail-pop3d(8)). Raises MailboxError.

    owner: the uid that the directory must have, None for any. classic: leave out what was delivered in this very
    second, as maildir.c does, sort by seconds, and make no directory that is missing. drops: what is remembered of an
    earlier look.
    """
    now = time.time()
    _check(maildir, owner, classic=classic)
    if not classic:
        _complete(maildir)
    clean_tmp(maildir, now, as_qmail=classic)
    try:
        if classic or drops is None:
            return _messages(maildir, scan(maildir), now, classic=classic)
        return _seen(maildir, drops, owner, now)
    except OSError as error:
        raise MailboxError(Refusal.NO_SCAN, _why(error, error.filename or maildir)) from error


def _seen(maildir: Path, drops: Drops, owner: int | None, now: float) -> tuple[Message, ...]:
    """By what is remembered, where the directories' times allow it. Raises OSError."""
    status = os.stat(maildir)
    key = status.st_dev, status.st_ino, -1 if owner is None else owner
    # The last change of the inode: of its names or of who may read them.
    times = tuple(os.stat(maildir / folder).st_ctime_ns for folder in ("new", "cur"))
    before = drops.get(key)
    if before.sure and before.times == times:
        return before.messages
    entries = scan(maildir, before.entries)
    messages = _messages(maildir, entries, now, classic=False)
    sure = max(times) < int(now * 1e9) - _TICK_NS
    drops.put(key, Drop(times, sure, messages, {entry.name: entry for entry in entries}))
    return messages


def _messages(maildir: Path, entries: list[Entry], now: float, *, classic: bool) -> tuple[Message, ...]:
    with suppress(OSError):
        _drop_repeated(maildir, entries)
    unit = 1_000_000_000 if classic else 1
    if classic:
        entries = [entry for entry in entries if entry.mtime_ns // unit < int(now)]
    entries.sort(key=lambda entry: (entry.mtime_ns // unit, entry.base))
    return tuple(Message(entry.name, entry.base, entry.folder == "new", entry.size) for entry in entries)


def _check(maildir: Path, owner: int | None, *, classic: bool) -> None:
    try:
        status = os.stat(maildir)
        if owner is not None and status.st_uid != owner:
            why = f"it belongs to uid {status.st_uid}, the account is uid {owner}"
            raise MailboxError(Refusal.FOREIGN_MAILDIR, why)
        # Looking up the dot needs the right to enter, as chdir(2) does.
        os.stat(os.path.join(maildir, "."))
    except OSError as error:
        # An unreachable home is no proof that there is no mail, but qmail-pop3d says the same of both.
        missing = classic or error.errno in (errno.ENOENT, errno.ENOTDIR)
        raise MailboxError(Refusal.NO_MAILDIR if missing else Refusal.NO_SCAN, _why(error, maildir)) from error


def _why(error: OSError, path: Path | bytes | str) -> str:
    where = os.fspath(path)
    shown = where if isinstance(where, str) else where.decode("latin-1")
    return f"{shown}: {why_unusable(error, where)}"


def _complete(maildir: Path) -> None:
    """Make new and tmp where they are missing; what cannot be made is noticed by the scan."""
    with suppress(OSError), _entered(maildir) as directory:
        make_missing(directory)


@contextmanager
def _entered(maildir: Path) -> Iterator[int]:
    """The Maildir as a descriptor. Raises OSError."""
    directory = os.open(maildir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield directory
    finally:
        os.close(directory)


def _drop_repeated(maildir: Path, entries: Iterable[Entry]) -> None:
    """Settle what is in new although it is in cur, which alone was listed. What cannot be settled stays hidden."""
    new = os.listdir(os.fsencode(maildir / "new"))
    if not new:
        return
    in_cur = {entry.base: b"cur/" + entry.name for entry in entries if entry.folder == "cur"}
    repeated = [name for name in new if base_name(name) in in_cur]
    if not repeated:
        return
    with _entered(maildir) as directory:
        for name in repeated:
            with suppress(OSError):
                settle_repeated(directory, b"new/" + name, in_cur[base_name(name)])


def open_message(maildir: Path, message: Message) -> tuple[int, bytes]:
    """A descriptor and the first piece. Raises FileNotFoundError: it is gone; Unusable."""
    return _Places(maildir).act(message, _open)


def read_messages(
    maildir: Path, message: Message, following: Sequence[Message]
) -> tuple[int, bytes, dict[Message, bytes]]:
    """As `open_message`, and what follows as far as it is small and where it was; the descriptor is -1 where the piece
    is all of it. Raises as `open_message`."""
    descriptor, piece = open_message(maildir, message)
    if len(piece) == READ_BYTES:
        return descriptor, piece, {}
    os.close(descriptor)
    read: dict[Message, bytes] = {}
    left = BYTES
    for one in following:
        left -= one.size_bytes
        if left < 0:
            break
        try:
            descriptor, octets = _open_file(_path(os.fsencode(maildir), one))
        except OSError:
            break  # whoever asks for it will be told
        os.close(descriptor)
        if len(octets) == READ_BYTES:
            break
        read[one] = octets
    return -1, piece, read


def read_more(descriptor: int) -> bytes:
    """The next piece; empty at the end."""
    return os.read(descriptor, READ_BYTES)


def _open(path: bytes) -> tuple[int, bytes]:
    try:
        return _open_file(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unusable(path.decode("latin-1"), why_unusable(error, path)) from error


def _open_file(path: bytes) -> tuple[int, bytes]:
    # Without O_NONBLOCK a FIFO put there meanwhile would hold the thread.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file")
        return descriptor, read_more(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def update(maildir: Path, deleted: Sequence[Message], seen: Sequence[Message]) -> tuple[Unusable, ...]:
    """Remove and move; what could not be removed. Never raises OSError."""
    stayed: list[Unusable] = []
    places = _Places(maildir)
    removed: list[int] = []
    for message in deleted:
        try:
            places.act(message, _remove)
        except FileNotFoundError:
            continue
        except Unusable as unusable:
            stayed.append(unusable)
        else:
            _remove_repeated(maildir, message)
            if b"T" not in parse_flags(message.name):
                removed.append(message.size_bytes)
    _count_out(maildir, removed)
    for message in seen:
        try:
            move_to_cur(maildir, message.name)
        except OSError:
            continue  # it stays in new, as with qmail-pop3d
    return tuple(stayed)


def _count_out(maildir: Path, sizes: Sequence[int]) -> None:
    """What a quota counts is less by so many messages."""
    if not sizes:
        return
    with suppress(OSError):
        directory = os.open(maildir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            add(directory, -sum(sizes), -len(sizes))
        finally:
            os.close(directory)


def _remove(path: bytes) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unusable(path.decode("latin-1"), why_unusable(error, os.path.dirname(path))) from error


def _remove_repeated(maildir: Path, message: Message) -> None:
    """The same message delivered once more since the scan: without its twin it would be a new one."""
    again = os.path.join(os.fsencode(maildir), b"new", message.base)
    with suppress(OSError):
        if os.stat(again, follow_symlinks=False).st_size == message.size_bytes:
            os.unlink(again)


def _path(directory: bytes, message: Message) -> bytes:
    """Where it was at log-in."""
    return os.path.join(directory, b"new" if message.is_new else b"cur", message.name)


class _Places:
    """Where the messages are by now: another session may have moved them or changed their flags since the scan.

    Where one was renamed many were, so what one look at the directories tells serves for all of a call."""

    def __init__(self, maildir: Path) -> None:
        self._directory = os.fsencode(maildir)
        self._seen: dict[bytes, bytes] | None = None

    def act(self, message: Message, do: Callable[[bytes], T]) -> T:
        """Do it to the message's file. Raises FileNotFoundError when it is gone, and what `do` does."""
        try:
            return do(_path(self._directory, message))
        except FileNotFoundError:
            if self._seen is None:
                self._seen = self._look()
        try:
            return do(self._place(message))
        except FileNotFoundError:
            if message.base not in self._seen:
                raise
            self._seen = self._look()
        return do(self._place(message))

    def _place(self, message: Message) -> bytes:
        assert self._seen is not None
        if message.base not in self._seen:
            raise FileNotFoundError(errno.ENOENT, "the message is gone")
        return self._seen[message.base]

    def _look(self) -> dict[bytes, bytes]:
        """Paths by unique name. Twice, because readdir(3) may miss a file that is renamed meanwhile."""
        folders = [os.path.join(self._directory, folder) for folder in (b"new", b"cur")] * 2
        return {base_name(name): os.path.join(folder, name) for folder in folders for name in os.listdir(folder)}
