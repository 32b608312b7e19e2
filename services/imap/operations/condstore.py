"""ENABLE, and what a client must be told to be up to date again: CONDSTORE and QRESYNC (RFC 5161, RFC 7162)."""

from __future__ import annotations

from collections.abc import Iterable

from services.imap import replies
from services.imap.grammar.folders import Resync
from services.imap.grammar.sequence import SequenceSet, positions_of_uids
from services.imap.mailbox.mailbox_session import CONDSTORE, QRESYNC, MailboxSession
from services.imap.mailbox.selected import Selected
from services.imap.session.results import Answer

_KNOWN = frozenset((CONDSTORE, QRESYNC))


def enable(session: MailboxSession, names: tuple[bytes, ...]) -> Answer:
    """Unknown names are passed over (RFC 5161 section 3.1). Raises OSError."""
    new = [name for name in dict.fromkeys(names) if name in _KNOWN and name not in session.enabled]
    session.enabled.update(new)
    lines: list[bytes] = []
    if new:
        lines += begin(session)
        if session.selected is not None:
            session.selected.qresync = QRESYNC in session.enabled
    return Answer(lines=(replies.enabled(new), *lines))


def begin(session: MailboxSession) -> tuple[bytes, ...]:
    """The client has shown that it wants mod-sequences, of this mailbox and of those to come. Raises OSError."""
    session.enabled.add(CONDSTORE)
    return session.selected.begin_condstore() if session.selected is not None else ()


def resync(selected: Selected, asked: Resync) -> list[bytes]:
    """What has gone and what has changed since; nothing under another UIDVALIDITY."""
    if asked.validity != selected.mailbox.validity:
        return []
    lines = vanished(selected, asked.modseq, asked.known)
    for uid in changed_since(selected, selected.view.uids, asked.modseq):
        if asked.known is None or _is_meant(uid, asked.known, selected.mailbox.next_uid - 1):
            lines.append(selected.flags_line(selected.mailbox.messages[uid], uid=True))
    return lines


def changed_since(selected: Selected, uids: Iterable[int], modseq: int) -> list[int]:
    """Those of the messages that have a higher mod-sequence."""
    messages = selected.mailbox.messages
    return [uid for uid in uids if uid in messages and selected.modseq(uid) > modseq]


def vanished(selected: Selected, modseq: int, known: SequenceSet | None) -> list[bytes]:
    """VANISHED (EARLIER): what went after the mod-sequence; where that is forgotten, all that is missing."""
    last = selected.mailbox.next_uid - 1
    gone = selected.track().gone_since(modseq)
    if gone is None:
        present = set(selected.view.uids)
        ranges = known.resolved(last) if known is not None else [(1, last)]
        gone = [uid for low, high in ranges for uid in range(low, min(high, last) + 1) if uid not in present]
    elif known is not None:
        gone = [gone[place] for place in positions_of_uids(_bounded(known, last), gone)]
    return [replies.vanished(gone, earlier=True)] if gone else []


def _bounded(known: SequenceSet, last: int) -> SequenceSet:
    return SequenceSet(tuple(known.resolved(last)))


def _is_meant(uid: int, known: SequenceSet, last: int) -> bool:
    return any(low <= uid <= high for low, high in known.resolved(last))
