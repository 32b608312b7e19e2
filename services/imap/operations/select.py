"""SELECT, EXAMINE, CLOSE, UNSELECT and CHECK (RFC 3501 sections 6.3.1, 6.3.2, 6.4.1 and 6.4.2, RFC 3691)."""

from __future__ import annotations

import time
from dataclasses import replace

from qmail.maildir.reader import clean_tmp_at
from services.imap import replies
from services.imap.flags import SYSTEM
from services.imap.grammar.folders import Select
from services.imap.mailbox.mailbox_session import CONDSTORE, QRESYNC, MailboxSession, refusal
from services.imap.mailbox.selected import Selected
from services.imap.operations.condstore import resync
from services.imap.operations.expunge import remove_deleted
from services.imap.session.results import Answer
from services.imap.store.errors import StoreError
from services.imap.store.modseqs import FILE as MODSEQ_FILE


def select(session: MailboxSession, arguments: Select) -> Answer:
    """Raises nothing: after a refusal no mailbox is selected."""
    return _select(session, arguments, read_only=False)


def examine(session: MailboxSession, arguments: Select) -> Answer:
    """As `select`."""
    return _select(session, arguments, read_only=True)


def _select(session: MailboxSession, arguments: Select, *, read_only: bool) -> Answer:
    if arguments.resync is not None and QRESYNC not in session.enabled:
        return Answer(b"BAD", replies.ENABLE_QRESYNC_FIRST)
    if arguments.condstore:
        session.enabled.add(CONDSTORE)
    closed = (replies.CLOSED,) if session.selected is not None else ()
    try:
        selected = session.select(arguments.mailbox, read_only=read_only)
        answer = _first_look(selected)
        changes = (*_modseqs(selected), *(resync(selected, arguments.resync) if arguments.resync else ()))
    except (StoreError, OSError) as error:
        session.deselect()
        return replace(refusal(error), selected=False, lines=closed)
    return replace(answer, lines=(*closed, *answer.lines, *changes))


def _modseqs(selected: Selected) -> tuple[bytes, ...]:
    """HIGHESTMODSEQ, or that there is none: where nothing can be written down, nothing can be promised."""
    if not selected.mailbox.sticky:
        selected.condstore = selected.qresync = False
        return (replies.NO_MODSEQ,)
    folder = selected.mailbox.folder
    try:
        return (replies.highest_modseq(folder.track().highest if selected.condstore else folder.highest_modseq()),)
    except OSError as error:
        selected.mailbox.note(MODSEQ_FILE, error)
        selected.condstore = selected.qresync = False
        return (replies.NO_MODSEQ,)


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
