"""COPY and MOVE: hard links and renames, all or none (RFC 3501 section 6.4.7, RFC 6851, RFC 4315)."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable

from qmail.maildir.date import set_date
from qmail.maildir.names import flagged_name
from services.imap import replies
from services.imap.flags import SYSTEM_LETTERS, taken_along
from services.imap.grammar.messages import ToMailbox
from services.imap.grammar.sequence import render_set
from services.imap.mailbox.incoming import assigned
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.session.results import Answer
from services.imap.store import files
from services.imap.store.errors import MessageGone
from services.imap.store.keywords import write_keywords
from services.imap.store.mailbox import Mailbox
from services.imap.store.message import Message
from services.imap.store.names import TRASH

Place = Callable[[Mailbox, Message, Mailbox, bytes], None]
_PIECE_BYTES = 256 * 1024


def copy(session: MailboxSession, arguments: ToMailbox) -> Answer:
    """Raises NoSuchMessage, StoreError, OSError: then nothing was copied."""
    selected, target = session.current, session.open_target(arguments.mailbox)
    counted = session.counted()
    try:
        uids = selected.targets(arguments.messages, uid=arguments.uid)
        sizes = counted.sizes(selected.mailbox, map(selected.mailbox.messages.get, uids))
        counted.admit(arguments.mailbox, sizes)
        placed = _place_all(selected.mailbox, uids, target, _link)
        counted.came(arguments.mailbox, sizes)
        counted.note()
        code = _copyuid(target, uids, placed)
    except MessageGone:
        return Answer(b"NO", replies.GONE_NOT_COPIED, code=replies.CODE_EXPUNGE_ISSUED)
    finally:
        target.close()
    return Answer(code=code)


def move(session: MailboxSession, arguments: ToMailbox) -> Answer:
    """Raises NoSuchMessage, StoreError, OSError."""
    selected, target = session.current, session.open_target(arguments.mailbox)
    if selected.mailbox.read_only:
        target.close()
        return Answer(b"NO", replies.READ_ONLY)
    moved: list[int] = []
    placed: list[bytes] = []
    counted = session.counted()
    try:
        uids = selected.targets(arguments.messages, uid=arguments.uid)
        sizes = counted.sizes(selected.mailbox, map(selected.mailbox.messages.get, uids))
        if selected.name == TRASH:
            counted.admit(arguments.mailbox, sizes)
        for uid in uids:
            with contextlib.suppress(MessageGone):
                placed += _place_all(selected.mailbox, [uid], target, _rename)
                moved.append(uid)
        counted.went(selected.name, sizes)
        counted.came(arguments.mailbox, sizes)
        counted.note()
        code = _copyuid(target, moved, placed)
    finally:
        selected.mailbox.touched()
        target.close()
    return Answer(lines=(replies.moved(code),) if code else ())


def _copyuid(target: Mailbox, uids: list[int], bases: list[bytes]) -> bytes:
    """COPYUID; empty where nothing was copied or the new UIDs cannot be told."""
    new = assigned(target, bases) if bases else []
    if not new:
        return b""
    return replies.uid_code(b"COPYUID", target.validity, render_set(uids), render_set(new))


def _place_all(source: Mailbox, uids: list[int], target: Mailbox, place: Place) -> list[bytes]:
    """The unique names of the placed messages. Raises MessageGone, OSError, and takes back what was placed."""
    placed: list[tuple[bytes, bytes]] = []
    try:
        for uid in uids:
            placed.append(_place(source, uid, target, place))
        if placed:
            files.sync_directory(target.fd, b"cur")
    except BaseException:
        if place is _link:
            for _, path in placed:
                with contextlib.suppress(OSError):
                    os.unlink(path, dir_fd=target.fd)
        raise
    return [base for base, _ in placed]


def _place(source: Mailbox, uid: int, target: Mailbox, place: Place) -> tuple[bytes, bytes]:
    message = source.messages.get(uid)
    while message is not None:
        base = _new_base(message.base)
        if words := message.keywords and taken_along(message.keywords, target.keyword_names()):
            write_keywords(target.fd, base, words)
            target.keyword_table.take(base, words)
        known = bytes(letter for letter in message.flags if letter in SYSTEM_LETTERS + b"P")
        path = b"cur/" + flagged_name(base, known)
        try:
            place(source, message, target, path)
        except FileNotFoundError:
            found = source.find(uid)
            if found == message:
                raise  # what is missing is the target
            message = found
            continue
        return base, path
    raise MessageGone


def _new_base(old: bytes) -> bytes:
    """A new unique name that keeps the size on disk, `,S=`, where the old one has it."""
    _, mark, size = old.partition(b",S=")
    size = size.split(b",", 1)[0]
    return files.unique_name().encode() + (mark + size if size.isdigit() else b"")


def _link(source: Mailbox, message: Message, target: Mailbox, path: bytes) -> None:
    try:
        os.link(message.path, path, src_dir_fd=source.fd, dst_dir_fd=target.fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        _copy_octets(source, message, target, path)


def _copy_octets(source: Mailbox, message: Message, target: Mailbox, path: bytes) -> None:
    """Where no hard link is possible. Through tmp, so that the message appears whole. Raises MessageGone, OSError."""
    tmp = b"tmp/" + files.unique_name().encode()
    old = os.open(message.path, files.READ, dir_fd=source.fd)
    try:
        status = os.fstat(old)
        if not stat.S_ISREG(status.st_mode):
            raise MessageGone
        new = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target.fd)
        try:
            at = 0
            while at < status.st_size:
                view = memoryview(files.read_range(old, at, min(at + _PIECE_BYTES, status.st_size)))
                if not view:
                    raise MessageGone  # cut short meanwhile
                at += len(view)
                while view:
                    view = view[os.write(new, view) :]
            set_date(new, status.st_mtime_ns)
            os.fsync(new)
            os.link(tmp, path, src_dir_fd=target.fd, dst_dir_fd=target.fd, follow_symlinks=False)
        finally:
            os.close(new)
            os.unlink(tmp, dir_fd=target.fd)
    finally:
        os.close(old)


def _rename(source: Mailbox, message: Message, target: Mailbox, path: bytes) -> None:
    try:
        os.rename(message.path, path, src_dir_fd=source.fd, dst_dir_fd=target.fd)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_octets(source, message, target, path)
        os.unlink(message.path, dir_fd=source.fd)
