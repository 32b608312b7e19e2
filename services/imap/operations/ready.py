"""FETCH's answers for many messages at a time: what the cache has ready, and what a look at a small file gives."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Collection, Sequence

from services.imap import message as mime
from services.imap.flags import render_flags
from services.imap.grammar.fetch import Body, FetchItem, Plain
from services.imap.mailbox.selected import Selected
from services.imap.search.preview import preview
from services.imap.store import cache
from services.imap.store.errors import MessageGone
from services.imap.store.mailbox import Mailbox
from services.imap.store.message import Message
from services.imap.store.opened import OpenMessage

#: So many messages are answered together; after so long the files of the rest are left for later.
CHUNK = 250
LOOK_SECONDS = 0.05
#: The same where their octets are asked for, and how large a file may be for that.
_BODIES = 16
_SMALL_BYTES = 64 * 1024
_PIECE_BYTES = 1024 * 1024

Column = list[bytes | None]
_Compute = Callable[[OpenMessage], bytes]
#: How the answer begins that names an item, its kind in the cache (empty: it is not kept), and how it is computed.
_Known = tuple[bytes, bytes, _Compute]


def _size(opened: OpenMessage) -> bytes:
    return b"%d" % mime.rfc822_size(opened.text())


def _envelope(opened: OpenMessage) -> bytes:
    return mime.envelope(opened.head())


def _body(opened: OpenMessage) -> bytes:
    return mime.body(opened.parsed())


def _bodystructure(opened: OpenMessage) -> bytes:
    return mime.bodystructure(opened.parsed())


def _email_id(opened: OpenMessage) -> bytes:
    """Made of the octets, so that copies have the same (RFC 8474 section 5.1)."""
    data = opened.file().data()
    digest = hashlib.sha256()
    for at in range(0, len(data), _PIECE_BYTES):
        digest.update(data[at : at + _PIECE_BYTES])
    return b"(M" + digest.hexdigest()[:40].encode() + b")"


def _preview(opened: OpenMessage) -> bytes:
    return preview(opened.parsed())


#: What is computed once for each message, by the name of the item: the kind in the cache, and how.
CACHED: dict[bytes, tuple[bytes, _Compute]] = {
    b"RFC822.SIZE": (cache.SIZE, _size),
    b"ENVELOPE": (cache.ENVELOPE, _envelope),
    b"BODY": (cache.BODY, _body),
    b"BODYSTRUCTURE": (cache.BODYSTRUCTURE, _bodystructure),
    b"EMAILID": (cache.EMAIL_ID, _email_id),
    b"PREVIEW": (cache.PREVIEW, _preview),
}
_READY = frozenset((*CACHED, b"UID", b"FLAGS"))


def value(selected: Selected, uid: int, opened: OpenMessage, kind: bytes, compute: _Compute) -> bytes:
    """From the cache, or computed for it. Raises MessageGone, OSError."""
    known = selected.cache.get(kind, uid)
    if known is None:
        known = compute(opened)
        selected.cache.put(kind, uid, known)
    return known


def total_size(mailbox: Mailbox) -> int:
    """The sum of RFC822.SIZE (RFC 8438); a message that is gone or cannot be read counts nothing."""
    uids = tuple(mailbox.messages)
    total = 0
    for uid, known in zip(uids, mailbox.cache.many(cache.SIZE, uids), strict=True):
        with contextlib.suppress(MessageGone, OSError):
            if known is None:
                with OpenMessage(mailbox, uid) as opened:
                    known = _size(opened)
                mailbox.cache.put(cache.SIZE, uid, known)
            total += int(known)
    mailbox.cache.flush()
    return total


def chunk_size(items: Sequence[FetchItem]) -> int:
    """How many messages `ready` may be asked for at a time; 0: it knows nothing of such items."""
    if any(not item.peek if isinstance(item, Body) else item.name not in _READY for item in items):
        return 0
    kept = all(isinstance(item, Plain) or _is_kept(item) for item in items)
    return CHUNK if kept else _BODIES


def _is_kept(item: Body) -> bool:
    return item.spec.kind == "HEADER.FIELDS" and not item.spec.part and item.partial is None


def _known(item: FetchItem) -> _Known:
    if isinstance(item, Plain):
        return (item.name + b" ", *CACHED[item.name])
    names = b" ".join(sorted({name.upper() for name in item.spec.fields}))
    return item.label + b" ", cache.FIELDS + names if _is_kept(item) else b"", _of(item)


def _of(item: Body) -> _Compute:
    """The section as a literal. Raises ValueError where the file is too large to be in memory beside others."""

    def compute(opened: OpenMessage) -> bytes:
        spec = item.spec
        if not _is_kept(item) and opened.stat().st_size > _SMALL_BYTES:
            raise ValueError
        if spec.kind is None and not spec.part:
            found: mime.Section | None = mime.whole(opened.text(), item.partial)
        else:
            found = mime.section(opened.parsed() if spec.part else opened.head(), spec, item.partial)
        return b"NIL" if found is None else b"{%d}\r\n%b" % (found.size, b"".join(found))

    return compute


def ready(selected: Selected, uids: Sequence[int], items: Sequence[FetchItem]) -> Column:
    """The whole answer for each of these messages; None where it must be looked for otherwise, or is gone."""
    messages = [selected.mailbox.messages.get(uid) for uid in uids]
    numbers = selected.view.numbers(uids)
    columns: list[list[bytes | None]] = []
    labels: list[bytes] = []
    missing: list[tuple[bytes, Column, _Compute]] = []
    for item in items:
        if item == Plain(b"UID"):
            labels.append(b"UID %b")
            columns.append([b"%d" % uid for uid in uids])
        elif item == Plain(b"FLAGS"):
            labels.append(b"FLAGS %b")
            columns.append(_flags(messages, selected.mailbox.recent))
        else:
            label, kind, compute = _known(item)
            labels.append(label.replace(b"%", b"%%") + b"%b")
            values: Column = selected.cache.many(kind, uids) if kind else [None for _ in uids]
            columns.append(values)
            if None in values:
                missing.append((kind, values, compute))
    if missing:
        _complete(selected, uids, messages, missing)
    if Plain(b"FLAGS") in items:
        selected.view.tell(numbers, messages)
    answer = b"* %d FETCH (" + b" ".join(labels) + b")\r\n"
    rows = zip(messages, zip(numbers, *columns, strict=True), strict=True)
    return [None if message is None or None in row else answer % row for message, row in rows]


def _flags(messages: list[Message | None], recent: Collection[int]) -> Column:
    known: dict[object, bytes] = {}
    column: Column = []
    for message in messages:
        if message is None:
            column.append(None)
            continue
        key = (message.flags, message.keywords, message.uid in recent)
        flags = known.get(key)
        if flags is None:
            flags = known[key] = render_flags(key[0], key[1], recent=key[2])
        column.append(flags)
    return column


def _complete(
    selected: Selected,
    uids: Sequence[int],
    messages: list[Message | None],
    missing: list[tuple[bytes, Column, _Compute]],
) -> None:
    """Compute what is missing, with one look at each file. Who cannot be read keeps the None."""
    end = time.monotonic() + LOOK_SECONDS
    for place, uid in enumerate(uids):
        if time.monotonic() > end and place:
            return
        if messages[place] is None or all(values[place] is not None for _, values, _ in missing):
            continue
        with OpenMessage(selected.mailbox, uid) as opened:
            try:
                for kind, values, compute in missing:
                    if values[place] is None:
                        values[place] = computed = compute(opened)
                        if kind:
                            selected.cache.put(kind, uid, computed)
            except (MessageGone, OSError, ValueError):
                messages[place] = None
