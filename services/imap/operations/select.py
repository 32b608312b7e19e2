"""SELECT, EXAMINE, CLOSE, UNSELECT and CHECK (RFC 3501 sections 6.3.1, 6.3.2, 6.4.1 and 6.4.2, RFC 3691)."""

from __future__ import annotations

import time
from dataclasses import replace

from qmail.maildir.reader import clean_tmp_at
from services.imap import replies
from services.imap.flags import SYSTEM
from services.imap.mailbox.mailbox_session import MailboxSession, refusal
from services.imap.mailbox.selected import Selected
from services.imap.operations.expunge import remove_deleted
from services.imap.session.results import Answer
from services.imap.store.errors import StoreError


def select(session: MailboxSession, name: bytes) -> Answer:
    """Raises nothing: after a refusal no mailbox is selected."""
    return _select(session, name, read_only=False)


def examine(session: MailboxSession, name: bytes) -> Answer:
    """As `select`."""
    return _select(session, name, read_only=True)


def _select(session: MailboxSession, name: bytes, *, read_only: bool) -> Answer:
    try:
        return _first_look(session.select(name, read_only=read_only))
    except (StoreError, OSError) as error:
        session.deselect()
        return replace(refusal(error), selected=False)


def _first_look(selected: Selected) -> Answer:
    mailbox = selected.mailbox
    with mailbox.lock:
        changes = selected.begin()
        _, unseen = mailbox.unseen()
    if not mailbox.read_only:
        # Seldom enough, and nobody else looks into the tmp of a folder (maildir(5)).
        clean_tmp_at(mailbox.fd, time.time())
    lines = [
        replies.flags(selected.keywords, SYSTEM),
        selected.permanent_flags(),
        replies.numbered(changes.exists or 0, b"EXISTS"),
        replies.numbered(changes.recent or 0, b"RECENT"),
    ]
    if unseen is not None:
        lines.append(replies.unseen(selected.view.number(unseen)))
    lines += replies.uids(mailbox.validity, mailbox.next_uid)
    if mailbox.sticky:
        lines.append(replies.ok_code(replies.mailbox_id(mailbox.validity), b"Mailbox."))
    else:
        lines.append(replies.NOT_STICKY)
    code = replies.CODE_READ_ONLY if mailbox.read_only else replies.CODE_READ_WRITE
    return Answer(lines=tuple(lines), code=code, selected=True)


def check(_session: MailboxSession, _arguments: None) -> Answer:
    """Nothing but the news that come with every answer."""
    return Answer()


def close(session: MailboxSession, arguments: None) -> Answer:
    """Raises StoreError, OSError."""
    if not session.current.mailbox.read_only:
        remove_deleted(session.current, None)
    return unselect(session, arguments)


def unselect(session: MailboxSession, _arguments: None) -> Answer:
    """Raises nothing."""
    session.deselect()
    return Answer(selected=False)
