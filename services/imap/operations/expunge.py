"""EXPUNGE and UID EXPUNGE (RFC 3501 section 6.4.3, RFC 4315 section 2.1)."""

from __future__ import annotations

import os

from services.imap import replies
from services.imap.grammar.sequence import SequenceSet
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.mailbox.selected import Selected
from services.imap.session.results import Answer
from services.imap.store.mailbox import Mailbox


def expunge(session: MailboxSession, only: SequenceSet | None) -> Answer:
    """Of these UIDs, None: of all. Raises StoreError, OSError."""
    if session.current.mailbox.read_only:
        return Answer(b"NO", replies.READ_ONLY)
    selected = session.current
    remove_deleted(selected, only)
    if not selected.condstore:
        return Answer()
    selected.mailbox.refresh()
    return Answer(code=b"HIGHESTMODSEQ %d" % selected.track().highest)


def remove_deleted(selected: Selected, only: SequenceSet | None) -> None:
    """Remove the messages that are \\Deleted on disk now and that this client knows of. Raises StoreError, OSError.

    A message whose flag somebody took away meanwhile stays."""
    mailbox = selected.mailbox
    mailbox.refresh()
    known = selected.view.uids
    uids = known if only is None else selected.targets(only, uid=True)
    for uid in uids:
        message = mailbox.messages.get(uid)
        if message is not None and b"T" in message.flags:
            _remove(mailbox, uid)
    mailbox.touched()


def _remove(mailbox: Mailbox, uid: int) -> None:
    message = mailbox.messages.get(uid)
    while message is not None and b"T" in message.flags:
        try:
            os.unlink(message.path, dir_fd=mailbox.fd)
        except FileNotFoundError:
            message = mailbox.find(uid)
            continue
        return
