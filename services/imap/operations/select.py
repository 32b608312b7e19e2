"""SELECT and EXAMINE (RFC 3501 section 6.3.1)."""

from __future__ import annotations

import time

from qmail.maildir.reader import clean_tmp_at
from services.imap import replies
from services.imap.flags import SYSTEM
from services.imap.mailbox.selected import Selected
from services.imap.session.results import Answer


def select(selected: Selected) -> Answer:
    """The first look at an opened mailbox. Raises OSError, StoreError."""
    changes = selected.begin()
    mailbox = selected.mailbox
    if not mailbox.read_only:
        # Seldom enough, and nobody else looks into the tmp of a folder (maildir(5)).
        clean_tmp_at(mailbox.fd, time.time())
    keywords = selected.keywords
    unseen = next((uid for uid in selected.view.uids if b"S" not in mailbox.messages[uid].flags), None)
    lines = [
        replies.flags(keywords, SYSTEM),
        selected.permanent_flags(),
        replies.numbered(changes.exists or 0, b"EXISTS"),
        replies.numbered(changes.recent or 0, b"RECENT"),
    ]
    if unseen is not None:
        lines.append(b"* OK [UNSEEN %d] First unseen.\r\n" % selected.view.number(unseen))
    lines.append(b"* OK [UIDVALIDITY %d] UIDs valid.\r\n" % mailbox.validity)
    lines.append(b"* OK [UIDNEXT %d] Next UID.\r\n" % mailbox.next_uid)
    if not mailbox.sticky:
        lines.append(replies.NOT_STICKY)
    verb, code = (b"EXAMINE", b"READ-ONLY") if mailbox.read_only else (b"SELECT", b"READ-WRITE")
    return Answer(b"OK", replies.completed(verb), tuple(lines), code, selected=True)
