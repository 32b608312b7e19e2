"""FETCH's answers for what the cache has ready: many messages at a time, and their files only where it has not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from services.imap import message as mime
from services.imap.flags import render_flags
from services.imap.grammar.fetch import Body, FetchItem, Plain
from services.imap.mailbox.selected import Selected
from services.imap.store import cache
from services.imap.store.errors import MessageGone
from services.imap.store.message import Message
from services.imap.store.opened import OpenMessage

#: So many messages are answered together; after so long the files of the rest are left for later.
CHUNK = 250
LOOK_SECONDS = 0.05

Column = list[bytes | None]
_Compute = Callable[[OpenMessage], bytes]


def _size(opened: OpenMessage) -> bytes:
    return b"%d" % mime.rfc822_size(opened.text())


def _envelope(opened: OpenMessage) -> bytes:
    return mime.envelope(opened.head())


def _body(opened: OpenMessage) -> bytes:
    return mime.body(opened.parsed())


def _bodystructure(opened: OpenMessage) -> bytes:
    return mime.bodystructure(opened.parsed())


#: What is computed once for each message, by the name of the item: the kind in the cache, and how.
CACHED: dict[bytes, tuple[bytes, _Compute]] = {
    b"RFC822.SIZE": (cache.SIZE, _size),
    b"ENVELOPE": (cache.ENVELOPE, _envelope),
    b"BODY": (cache.BODY, _body),
    b"BODYSTRUCTURE": (cache.BODYSTRUCTURE, _bodystructure),
}


def value(selected: Selected, uid: int, opened: OpenMessage, kind: bytes, compute: _Compute) -> bytes:
    """From the cache, or computed for it. Raises MessageGone, OSError."""
    known = selected.cache.get(kind, uid)
    if known is None:
        known = compute(opened)
        selected.cache.put(kind, uid, known)
    return known


def is_ready(items: Sequence[FetchItem]) -> bool:
    """Whether the cache can have all that is asked for."""
    return all(_kept(item) is not None or item in (Plain(b"UID"), Plain(b"FLAGS")) for item in items)


def _kept(item: FetchItem) -> tuple[bytes, bytes, _Compute] | None:
    """How the answer begins that names an item, its kind in the cache, and how it is computed."""
    if isinstance(item, Plain):
        found = CACHED.get(item.name)
        return None if found is None else (item.name + b" ", *found)
    spec = item.spec
    if spec.kind != "HEADER.FIELDS" or spec.part or item.partial is not None or not item.peek:
        return None
    kind = cache.FIELDS + b" ".join(sorted({name.upper() for name in spec.fields}))
    return item.label + b" ", kind, _fields(item)


def _fields(item: Body) -> _Compute:
    def compute(opened: OpenMessage) -> bytes:
        found = mime.section(opened.head(), item.spec)
        assert found is not None
        return b"{%d}\r\n%b" % (found.size, b"".join(found))

    return compute


def ready(selected: Selected, uids: Sequence[int], items: Sequence[FetchItem]) -> Column:
    """The whole answer for each of these messages; None where it must be looked for otherwise, or is gone."""
    mailbox = selected.mailbox
    messages = [mailbox.messages.get(uid) for uid in uids]
    columns: list[Column] = [[b"* %d FETCH (" % selected.view.number(uid) for uid in uids]]
    missing: dict[bytes, tuple[Column, _Compute]] = {}
    for item in items:
        label = b"" if len(columns) == 1 else b" "
        kept = _kept(item)
        if kept is None:
            columns.append(_plain(selected, uids, messages, label, item))
            continue
        begins, kind, compute = kept
        values = selected.cache.many(kind, uids)
        columns += [[label + begins] * len(uids), values]
        if None in values:
            missing[kind] = (values, compute)
    if missing:
        _complete(selected, uids, messages, missing)
    if Plain(b"FLAGS") in items:
        for message in messages:
            if message is not None:
                selected.view.told(message)
    columns.append([b")\r\n"] * len(uids))
    rows = zip(messages, *columns, strict=True)
    return [None if None in row else b"".join(row[1:]) for row in rows]


def _plain(
    selected: Selected, uids: Sequence[int], messages: list[Message | None], label: bytes, item: FetchItem
) -> Column:
    if item == Plain(b"UID"):
        return [label + b"UID %d" % uid for uid in uids]
    recent = selected.mailbox.recent
    known: dict[object, bytes] = {}
    column: Column = []
    for message in messages:
        if message is None:
            column.append(None)
            continue
        key = (message.flags, message.keywords, message.uid in recent)
        flags = known.get(key)
        if flags is None:
            flags = known[key] = label + b"FLAGS " + render_flags(key[0], key[1], recent=key[2])
        column.append(flags)
    return column


def _complete(
    selected: Selected,
    uids: Sequence[int],
    messages: list[Message | None],
    missing: dict[bytes, tuple[Column, _Compute]],
) -> None:
    """Compute what the cache has not, with one look at each file. Who cannot be read keeps the None."""
    end = time.monotonic() + LOOK_SECONDS
    for place, uid in enumerate(uids):
        if time.monotonic() > end and place:
            return
        if messages[place] is None or all(values[place] is not None for values, _ in missing.values()):
            continue
        with OpenMessage(selected.mailbox, uid) as opened:
            try:
                for kind, (values, compute) in missing.items():
                    if values[place] is None:
                        values[place] = computed = compute(opened)
                        selected.cache.put(kind, uid, computed)
            except (MessageGone, OSError):
                messages[place] = None
