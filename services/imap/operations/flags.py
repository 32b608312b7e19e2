"""STORE: flags by rename(2), keywords by Courier's files (RFC 3501 section 6.4.6)."""

from __future__ import annotations

import errno
import os

from qmail.maildir.names import flagged_name
from qmail.maildir.names import parse_flags as parse_name
from services.imap import replies
from services.imap.flags import NONE, BadFlag, FlagSet, canonical, changed, parse_flags
from services.imap.grammar.commands import Store
from services.imap.mailbox.selected import Selected
from services.imap.session.results import Answer
from services.imap.store.errors import MessageGone
from services.imap.store.keywords import write_keywords
from services.imap.store.mailbox import Mailbox, Message
from services.imap.store.snapshot import File

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))


def store(selected: Selected, command: Store) -> Answer:
    """Raises NoSuchMessage, OSError."""
    if selected.mailbox.read_only:
        return Answer(b"NO", b"Mailbox is selected read-only.")
    uids = selected.targets(command.messages, uid=command.uid)
    # What others have changed meanwhile is the ground for + and -, and is told with this.
    lines = list(selected.tell(expunge=False, uid=command.uid))
    try:
        given = _known(selected.mailbox, parse_flags(command.flags))
    except BadFlag as error:
        return Answer(b"NO", replies.error_text(str(error)), tuple(lines))
    gone = False
    stored = True
    for uid in uids:
        try:
            message = change_flags(selected.mailbox, uid, command.mode, given)
        except MessageGone:
            gone = True
            continue
        selected.view.told(message)
        stored = stored and _is_stored(message)
        if not command.silent:
            lines.append(selected.flags_line(message, uid=command.uid))
    lines[:0] = selected.tell_new_keywords()
    if not stored:
        lines.append(replies.NOT_STORED)
    if gone and not command.uid:
        return Answer(b"NO", b"Some messages are gone.", tuple(lines), replies.CODE_EXPUNGE_ISSUED)
    return Answer(b"OK", replies.completed(b"UID STORE" if command.uid else b"STORE"), tuple(lines))


def _known(mailbox: Mailbox, given: FlagSet) -> FlagSet:
    return FlagSet(given.letters, canonical(given.keywords, mailbox.keyword_table.names))


def add_flags(selected: Selected, uid: int, letters: bytes) -> None:
    """Set flags on the way of another command. Raises MessageGone, OSError."""
    selected.view.told(change_flags(selected.mailbox, uid, b"+", FlagSet(letters, NONE)))


def change_flags(mailbox: Mailbox, uid: int, mode: bytes, given: FlagSet) -> Message:
    """Change one message's flags; the message afterwards. Raises MessageGone, OSError.

    A file that somebody else has renamed is looked for, and the change made to the flags that it has then. Where a
    directory has no room for the longer name the flags are this session's alone: whoever deletes to make room needs no
    more."""
    message = mailbox.messages.get(uid)
    while message is not None:
        letters, words = changed(message.flags, message.keywords, mode, given)
        if words != message.keywords:
            write_keywords(mailbox.fd, message.base, words)
            mailbox.keyword_table.take(message.base, words)
            mailbox.touched()
        if letters == message.flags and message.path.startswith(b"cur/"):
            return mailbox.replace(uid, File(message.path, letters), words)
        path = b"cur/" + flagged_name(message.base, letters)
        try:
            os.rename(message.path, path, src_dir_fd=mailbox.fd, dst_dir_fd=mailbox.fd)
        except FileNotFoundError:
            message = mailbox.find(uid)
            continue
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            path = message.path
        return mailbox.replace(uid, File(path, letters), words)
    raise MessageGone


def _is_stored(message: Message) -> bool:
    return parse_name(os.path.basename(message.path)) == message.flags
