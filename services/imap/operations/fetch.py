"""FETCH: answers as a stream of pieces, so that no large message lies in memory (RFC 3501 section 6.4.5)."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Generator, Iterable, Iterator

from services.imap import message as mime
from services.imap import replies
from services.imap.grammar.dates import render_date_time
from services.imap.grammar.fetch import Body, FetchItem, Plain
from services.imap.grammar.messages import Fetch
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.mailbox.selected import Selected
from services.imap.operations.candidate import save_date
from services.imap.operations.condstore import begin, changed_since, vanished
from services.imap.operations.flags import add_flags
from services.imap.operations.ready import CACHED, chunk_size, ready, value
from services.imap.search.esearch import taken
from services.imap.session.command import Answering
from services.imap.session.results import Answer
from services.imap.store.errors import AnswerCut, MessageGone
from services.imap.store.opened import OpenMessage

MODSEQ = Plain(b"MODSEQ")
Pieces = Generator[bytes, None, None]

# A link, a FIFO, a socket, a directory, what is absurdly large, a bad sector.
_ODD = frozenset((errno.ELOOP, errno.ENXIO, errno.EINVAL, errno.EFBIG, errno.EIO))


def fetch(session: MailboxSession, arguments: Fetch) -> Answering:
    """Untagged answers in pieces, then the Answer. Raises NoSuchMessage, AnswerCut."""
    selected, items = session.current, arguments.items
    if arguments.uid and Plain(b"UID") not in items:
        items = (Plain(b"UID"), *items)
    seen = any(isinstance(item, Body) and not item.peek for item in items) and not selected.mailbox.read_only
    gone = False
    trouble: OSError | None = None
    if arguments.vanished and not selected.qresync:
        return Answer(b"BAD", replies.ENABLE_QRESYNC_FIRST)
    if arguments.changed_since is not None or MODSEQ in items:
        items = items if MODSEQ in items else (*items, MODSEQ)
        yield from begin(session)
        selected.track()
    lines, wanted = _wanted(selected, arguments)
    yield from lines
    for uids, answers in _chunks(selected, wanted, items):
        if None not in answers:
            yield b"".join(answers)  # type: ignore[arg-type]
            continue
        for uid, answer in zip(uids, answers, strict=True):
            if answer is not None:
                yield answer
                continue
            try:
                yield from _whole(_message(selected, uid, items, seen=seen))
            except MessageGone:
                gone = True
            except OSError as error:
                trouble = error  # of this message; the others are no worse for it
                selected.mailbox.note_message(uid, error)
    selected.cache.flush()
    if trouble is not None:
        return unreadable(trouble)
    if gone and not arguments.uid:
        return Answer(b"OK", replies.GONE, code=replies.CODE_EXPUNGE_ISSUED)
    return Answer()


def _wanted(selected: Selected, arguments: Fetch) -> tuple[list[bytes], list[int]]:
    """What is to be told before, and the UIDs of the messages asked for. Raises NoSuchMessage, OSError."""
    lines: list[bytes] = []
    uids = selected.targets(arguments.messages, uid=arguments.uid)
    if arguments.changed_since is not None:
        if arguments.vanished:
            lines = vanished(selected, arguments.changed_since, arguments.messages)
        uids = changed_since(selected, uids, arguments.changed_since)
    return lines, uids if arguments.partial is None else list(taken(uids, arguments.partial))


def _chunks(
    selected: Selected, uids: list[int], items: tuple[FetchItem, ...]
) -> Iterator[tuple[list[int], list[bytes | None]]]:
    """Some messages at a time, with the answers of those that are ready."""
    size = chunk_size(items)
    for start in range(0, len(uids), size or 1):
        chunk = uids[start : start + (size or 1)]
        yield chunk, ready(selected, chunk, items) if size else [None]


def unreadable(error: OSError) -> Answer:
    """NO: the rest was done. What is no message at all is for somebody to look at (RFC 5530 section 3)."""
    code = replies.CODE_CORRUPTION if error.errno in _ODD else replies.CODE_UNAVAILABLE
    return Answer(b"NO", replies.SOME_UNREADABLE, code=code, noted=True)


def _whole(pieces: Pieces) -> Pieces:
    """A message's answer. Raises as `_message` where nothing was given out, later AnswerCut."""
    begun = False
    try:
        for piece in pieces:
            begun = True
            yield piece
    except (MessageGone, OSError) as error:
        if begun:
            raise AnswerCut from error
        raise
    finally:
        pieces.close()  # an answer given up in the middle gives its file back now


def _message(selected: Selected, uid: int, items: tuple[FetchItem, ...], *, seen: bool) -> Pieces:
    """One message's answer; nothing is given out before it is certain that its file can be read."""
    with OpenMessage(selected.mailbox, uid, keep=True) as opened:
        if uid not in selected.mailbox.messages:
            raise MessageGone
        for item in items:
            if isinstance(item, Body):
                _of_section(item.spec, opened)
        if seen and b"S" not in selected.mailbox.messages[uid].flags:
            with contextlib.suppress(OSError):  # no room to note that it was read is no reason not to show it
                add_flags(selected, uid, b"S")
            items = items if Plain(b"FLAGS") in items else (*items, Plain(b"FLAGS"))
            if selected.condstore:
                selected.track()
                items = items if MODSEQ in items else (*items, MODSEQ)
        yield from _render(selected, uid, items, opened)
        if Plain(b"FLAGS") in items:
            selected.view.told(selected.mailbox.messages[uid])


def _render(selected: Selected, uid: int, items: Iterable[FetchItem], opened: OpenMessage) -> Pieces:
    ready = [b"* %d FETCH (" % selected.view.number(uid)]
    for index, item in enumerate(items):
        if index:
            ready.append(b" ")
        if isinstance(item, Plain):
            ready.append(_PLAIN[item.name](selected, uid, opened))
            continue
        found = mime.section(_of_section(item.spec, opened), item.spec, item.partial)
        ready.append(item.label + (b" NIL" if found is None else b" {%d}\r\n" % found.size))
        if found is not None:
            pieces = _exactly(found)
            ready.append(next(pieces, b""))  # read before anything is given out: most sections are no longer
            yield b"".join(ready)
            ready.clear()
            yield from pieces
    ready.append(b")\r\n")
    yield b"".join(ready)


def _of_section(spec: mime.SectionSpec, opened: OpenMessage) -> mime.Message:
    """As much of the message as the section needs to be known of it: for a header no look at a large attachment."""
    return opened.parsed() if spec.part else opened.head()


def _exactly(found: mime.Section) -> Pieces:
    """The octets that were announced. Raises MessageGone when the file has changed and no longer gives as many."""
    left = found.size
    for piece in found:
        left -= len(piece)
        yield piece
    if left:
        raise MessageGone


def _uid(_selected: Selected, uid: int, _opened: OpenMessage) -> bytes:
    return b"UID %d" % uid


def _flags(selected: Selected, uid: int, _opened: OpenMessage) -> bytes:
    return selected.flags_item(selected.mailbox.messages[uid])


def _internaldate(_selected: Selected, _uid: int, opened: OpenMessage) -> bytes:
    return b"INTERNALDATE " + render_date_time(opened.stat().st_mtime_ns // 10**9)


def _savedate(selected: Selected, uid: int, _opened: OpenMessage) -> bytes:
    date = save_date(selected.mailbox.messages[uid])
    return b"SAVEDATE " + (b"NIL" if date is None else render_date_time(date))


def _modseq(selected: Selected, uid: int, _opened: OpenMessage) -> bytes:
    return b"MODSEQ (%d)" % selected.modseq(uid)


def _thread_id(_selected: Selected, _uid: int, _opened: OpenMessage) -> bytes:
    return b"THREADID NIL"


def _cached(name: bytes) -> Callable[[Selected, int, OpenMessage], bytes]:
    kind, compute = CACHED[name]
    return lambda selected, uid, opened: name + b" " + value(selected, uid, opened, kind, compute)


_PLAIN: dict[bytes, Callable[[Selected, int, OpenMessage], bytes]] = {
    b"UID": _uid,
    b"FLAGS": _flags,
    b"INTERNALDATE": _internaldate,
    b"SAVEDATE": _savedate,
    b"THREADID": _thread_id,
    b"MODSEQ": _modseq,
    **{name: _cached(name) for name in CACHED},
}
