"""STORE: flags by rename(2), keywords by Courier's files (RFC 3501 section 6.4.6)."""

from __future__ import annotations

import errno
import os

from qmail.maildir.names import flagged_name
from qmail.maildir.names import parse_flags as parse_name
from services.imap import replies
from services.imap.flags import NONE, FlagSet, canonical, changed, parse_flags
from services.imap.grammar.messages import Store
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.mailbox.selected import Selected
from services.imap.operations.condstore import begin
from services.imap.session.results import Answer
from services.imap.store.errors import BadFlag, MessageGone
from services.imap.store.keywords import write_keywords, write_many
from services.imap.store.mailbox import Mailbox
from services.imap.store.message import Message
from services.imap.store.snapshot import File

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))


def store(session: MailboxSession, arguments: Store) -> Answer:
    """Raises NoSuchMessage, StoreError, OSError."""
    selected = session.current
    if selected.mailbox.read_only:
        return Answer(b"NO", replies.READ_ONLY)
    uids = selected.targets(arguments.messages, uid=arguments.uid)
    begun = begin(session) if arguments.unchanged_since is not None else ()
    # What others have changed meanwhile is the ground for + and -, and is told with this.
    lines = [*begun, *selected.tell(expunge=False, uid=arguments.uid)]
    try:
        given = _known(selected.mailbox, parse_flags(arguments.flags))
    except BadFlag as error:
        return Answer(b"NO", error.text, tuple(lines))
    uids, modified = _unchanged(selected, uids, arguments.unchanged_since)
    _store_keywords(selected.mailbox, uids, arguments.mode, given)
    gone = False
    stored = True
    done: list[Message] = []
    counted = session.counted()
    for uid in uids:
        before = counted.sizes(selected.mailbox, (selected.mailbox.messages.get(uid),))
        try:
            message = change_flags(selected.mailbox, uid, arguments.mode, given)
        except MessageGone:
            gone = True
            continue
        counted.went(selected.name, before)
        counted.came(selected.name, counted.sizes(selected.mailbox, (message,)))
        selected.told(message)
        stored = stored and _is_stored(message)
        done.append(message)
    counted.note()
    lines += _told(selected, done, arguments)
    lines[:0] = selected.tell_new_keywords()
    if not stored:
        lines.append(replies.NOT_STORED)
    if gone and not arguments.uid:
        return Answer(b"OK", replies.GONE, tuple(lines), replies.CODE_EXPUNGE_ISSUED)
    numbers = modified if arguments.uid else map(selected.view.number, modified)
    return Answer(lines=tuple(lines), code=replies.modified(numbers) if modified else b"")


def _unchanged(selected: Selected, uids: list[int], since: int | None) -> tuple[list[int], list[int]]:
    """Those that the client knows as they are, and those that were changed after the mod-sequence."""
    if since is None:
        return uids, []
    known = [uid for uid in uids if uid not in selected.mailbox.messages or selected.modseq(uid) <= since]
    return known, sorted(set(uids).difference(known))


def _told(selected: Selected, done: list[Message], arguments: Store) -> list[bytes]:
    if selected.condstore:
        selected.track()
    if not arguments.silent:
        return [selected.flags_line(message, uid=arguments.uid) for message in done]
    if not selected.condstore:
        return []
    return [selected.modseq_line(message.uid, by_uid=arguments.uid) for message in done]


def _store_keywords(mailbox: Mailbox, uids: list[int], mode: bytes, given: FlagSet) -> None:
    """The keywords of all messages as one group; what is left to do with each is its name. Raises OSError."""
    with mailbox.lock:
        messages = [message for uid in uids if (message := mailbox.messages.get(uid)) is not None]
        words = {one: changed(one.flags, one.keywords, mode, given)[1] for one in messages}
        fresh = {one: mine for one, mine in words.items() if mine != one.keywords}
        if not fresh:
            return
        write_many(mailbox.fd, {one.base: mine for one, mine in fresh.items()})
        for one, mine in fresh.items():
            mailbox.keyword_table.take(one.base, mine)
            mailbox.replace(one.uid, File(one.path, one.flags), mine)
        mailbox.touched()


def _known(mailbox: Mailbox, given: FlagSet) -> FlagSet:
    return FlagSet(given.letters, canonical(given.keywords, mailbox.keyword_table.names))


def add_flags(selected: Selected, uid: int, letters: bytes) -> None:
    """Set flags on the way of another arguments. Raises MessageGone, OSError."""
    selected.told(change_flags(selected.mailbox, uid, b"+", FlagSet(letters, NONE)))


def change_flags(mailbox: Mailbox, uid: int, mode: bytes, given: FlagSet) -> Message:
    """Change one message's flags; the message afterwards. Raises MessageGone, OSError.

    A file that somebody else has renamed is looked for, and the change made to the flags that it has then. Where a
    directory has no room for the longer name the flags are this session's alone: whoever deletes to make room needs no
    more."""
    with mailbox.lock:
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
