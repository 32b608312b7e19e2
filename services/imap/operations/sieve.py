"""SEARCH for many messages at once: what flags, numbers, sizes and the cache say of them, before any file is opened."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator
from dataclasses import dataclass

from services.imap.flags import NAMES as LETTER_NAMES
from services.imap.mailbox.selected import Selected
from services.imap.message import Field
from services.imap.operations.ready import CACHED
from services.imap.search import program as p
from services.imap.search.charset import fold
from services.imap.search.match import shown, within
from services.imap.store import cache
from services.imap.store.errors import MessageGone
from services.imap.store.opened import OpenMessage

#: For so long at a time fields are read that nobody has searched before: others have their turn between.
LOOK_SECONDS = 0.2
_LETTERS = {name: letter for letter, name in LETTER_NAMES.items()}
# What no text is: the message has no such field.
_NO_FIELD = b"\xff"


@dataclass(frozen=True, slots=True)
class Sieved:
    """Who can be meant. `exact`: all of them are."""

    uids: Collection[int]
    exact: bool = True


def narrowed(selected: Selected, key: p.Key) -> Generator[bytes, None, tuple[list[int], p.Key]]:
    """The messages that a bound key may mean, in order, and what is left to ask of each. Nothing after each turn."""
    sieve = _Sieve(selected)
    while True:
        sieved = sieve.of(key, selected.view.uids)
        if not sieve.begin_turn():
            break
        yield b""
    possible = sieved.uids if isinstance(sieved.uids, set) else set(sieved.uids)
    return [uid for uid in selected.view.uids if uid in possible], p.All() if sieved.exact else key


class _Sieve:
    def __init__(self, selected: Selected) -> None:
        self._selected = selected
        self._end = time.monotonic() + LOOK_SECONDS
        #: Of this search: what was read, whether or not the cache keeps it; None: what cannot be.
        self._known: dict[tuple[bytes, int], bytes | None] = {}
        self._out_of_time = False

    def begin_turn(self) -> bool:
        """Whether another is needed."""
        again, self._out_of_time = self._out_of_time, False
        self._end = time.monotonic() + LOOK_SECONDS
        return again

    def of(self, key: p.Key, among: Collection[int]) -> Sieved:
        match key:
            case p.And(keys):
                return self._all(keys, among)
            case p.Or(left, right):
                one, other = self.of(left, among), self.of(right, among)
                return Sieved({*one.uids, *other.uids}, one.exact and other.exact)
            case p.Not(inner):
                out = self.of(inner, among)
                return Sieved(set(among).difference(out.uids)) if out.exact else Sieved(among, exact=False)
        return self._simple(key, among)

    def _all(self, keys: tuple[p.Key, ...], among: Collection[int]) -> Sieved:
        exact = True
        for key in keys:
            sieved = self.of(key, among)
            among, exact = sieved.uids, exact and sieved.exact
        return Sieved(among, exact)

    def _simple(self, key: p.Key, among: Collection[int]) -> Sieved:
        selected = self._selected
        messages = selected.mailbox.messages
        known = [message for uid in among if (message := messages.get(uid)) is not None]
        match key:
            case p.All():
                return Sieved(among)
            case p.Ranges(ranges=ranges, of_uids=of_uids):
                number = selected.view.number
                return Sieved({uid for uid in among if within(uid if of_uids else number(uid), ranges)})
            case p.Flag(b"\\Recent"):
                return Sieved(selected.mailbox.recent.intersection(among))
            case p.Flag(name) if name in _LETTERS:
                letter = _LETTERS[name]
                return Sieved({message.uid for message in known if letter in message.flags})
            case p.Keyword(name):
                return Sieved({one.uid for one in known if any(word.lower() == name for word in one.keywords)})
            case p.Larger(size) | p.Smaller(size):
                return self._sizes(list(among), size, larger=isinstance(key, p.Larger))
            case p.Header(name, text):
                return self._fields(list(among), name, text)
        return Sieved(among, exact=False)

    def _sizes(self, among: list[int], size: int, *, larger: bool) -> Sieved:
        sizes = self._selected.cache.many(CACHED[b"RFC822.SIZE"][0], among)
        pairs = zip(among, sizes, strict=True)
        found = {uid for uid, is_ in pairs if is_ is None or (int(is_) > size if larger else int(is_) < size)}
        return Sieved(found, None not in sizes)

    def _fields(self, among: list[int], name: bytes, text: str) -> Sieved:
        """By the field's text as it is compared, which the cache keeps."""
        wanted, kind = text.encode("utf-8", "surrogatepass"), cache.TEXTS + name
        values = self._selected.cache.many(kind, among)
        if None in values:
            self._complete(among, values, kind, name)
        pairs = zip(among, values, strict=True)
        found = {uid for uid, is_ in pairs if is_ is None or (wanted in is_ and is_ != _NO_FIELD)}
        return Sieved(found, None not in values)

    def _complete(self, among: list[int], values: list[bytes | None], kind: bytes, name: bytes) -> None:
        for place, uid in enumerate(among):
            if values[place] is not None or self._out_of_time:
                continue
            if (kind, uid) not in self._known:
                self._known[kind, uid] = self._read(uid, kind, name)
                self._out_of_time = time.monotonic() > self._end
            values[place] = self._known[kind, uid]

    def _read(self, uid: int, kind: bytes, name: bytes) -> bytes | None:
        """None: it cannot be read, which whoever looks at it alone will tell."""
        with OpenMessage(self._selected.mailbox, uid) as opened:
            try:
                value = _text(opened.head().root.header, name)
            except (MessageGone, OSError):
                return None
        self._selected.cache.put(kind, uid, value)
        return value


def _text(header: list[Field], name: bytes) -> bytes:
    """Of all fields of the name; between them stands what no search can ask for."""
    texts = [fold(shown(field)) for field in header if field.name == name and field.colon >= 0]
    return "\0".join(texts).encode("utf-8", "surrogatepass") if texts else _NO_FIELD
