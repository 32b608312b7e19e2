"""Keywords in Courier's own files, so that either server may be put in the other's place (README.imapkeywords).

`courierimapkeywords/:list`: the folder's keywords one a line, an empty line, then `base:indexes` a message. A change of
one message's keywords is a file `courierimapkeywords/<base>` with all its keywords, one a line; the last writer wins.
Merged changes are kept for some minutes as `.<N>.<base>`, N = time / 300 + 1, since another reader may be about to put
an older `:list` in place.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from services.imap import replies
from services.imap.flags import MAX_KEYWORDS, Keywords
from services.imap.store import files
from services.imap.store.errors import Busy

DIRECTORY = b"courierimapkeywords/"
# So many changes beside `:list` are merged by whoever sees them.
MERGE_AT = 50
# From so many on the whole file system is synchronized once, not each file.
_GROUP = 8
_READ_TRIES = 20
_PERIOD_SECONDS = 300
_LIFETIME_SECONDS = 900
# In place of the N of a file that was not merged: such a one is newer than any that was.
_UNMERGED = float("inf")
_MERGED = re.compile(rb"\.([0-9]+)\.(.+)\Z", re.DOTALL)


@dataclass(slots=True)
class KeywordTable:
    """All keywords of a folder. `names` in the order in which they are listed; `changes` files that were never merged
    lie beside `:list`; `expired`: so do merged ones that need not be kept any longer."""

    names: list[bytes] = field(default_factory=list)
    of: dict[bytes, Keywords] = field(default_factory=dict)
    changes: int = 0
    expired: bool = False

    def take(self, base: bytes, keywords: Keywords) -> None:
        """Set a message's keywords."""
        self.of[base] = keywords
        for name in sorted(keywords):
            if name not in self.names and len(self.names) < MAX_KEYWORDS:
                self.names.append(name)


def parse_list(content: bytes) -> KeywordTable:
    """`:list`; what cannot be understood is left out."""
    head, _, tail = content.partition(b"\n\n")
    table = KeywordTable(names=list(dict.fromkeys(name for name in head.split(b"\n") if name))[:MAX_KEYWORDS])
    for line in tail.split(b"\n"):
        base, colon, numbers = line.rpartition(b":")
        known = {int(n) for n in numbers.split() if n.isdigit()}
        if colon and base:
            table.of[base] = frozenset(table.names[n] for n in known if n < len(table.names))
    return table


def render_list(table: KeywordTable, alive: Collection[bytes]) -> bytes:
    """`:list` of the messages that exist."""
    index = {name: number for number, name in enumerate(table.names)}
    lines = [*table.names, b""]
    for base, keywords in table.of.items():
        numbers = sorted(index[name] for name in keywords if name in index)
        if numbers and base in alive:
            lines.append(base + b":" + b" ".join(b"%d" % number for number in numbers))
    return b"\n".join(lines) + b"\n"


def read_keywords(folder: int) -> KeywordTable:
    """The folder's keywords now. Raises OSError; Busy when the files change faster than they can be read."""
    for _ in range(_READ_TRIES):
        try:
            return _read_once(folder)
        except _Moved:
            continue
    raise Busy(replies.KEYWORDS_BUSY)


class _Moved(Exception):
    """A change was merged meanwhile: the `:list` that holds it may be newer than the one that was read."""


def _read_once(folder: int) -> KeywordTable:
    try:
        names = files.list_names(folder, DIRECTORY)
    except FileNotFoundError:
        return KeywordTable()
    # After the names: whoever renames a change that we then miss has put a list in place that holds it.
    table = parse_list(_read_list(folder))
    period = _period()
    for number, base, name in sorted(_changes(names)):
        words = _read_change(folder, name).split(b"\n")
        table.take(base, frozenset(word for word in words if word))
        table.changes += number == _UNMERGED
        table.expired = table.expired or _expired(number, period)
    return table


def _read_list(folder: int) -> bytes:
    try:
        return files.read_all(folder, DIRECTORY + b":list")
    except FileNotFoundError:
        return b""


def _read_change(folder: int, name: bytes) -> bytes:
    """A message's keywords. Raises OSError; _Moved where the file was there and is not any more."""
    try:
        return files.read_all(folder, DIRECTORY + name)
    except files.NotAFile:
        return b""
    except FileNotFoundError:
        raise _Moved from None


def _changes(names: list[bytes]) -> list[tuple[float, bytes, bytes]]:
    """Files of single messages: age order (the plain name is the newest), base, file name."""
    found = []
    for name in names:
        merged = _MERGED.match(name)
        if merged is not None:
            found.append((float(int(merged[1])), merged[2], name))
        elif not name.startswith((b":", b".")):
            found.append((_UNMERGED, name, name))
    return found


def write_keywords(folder: int, base: bytes, keywords: Keywords) -> None:
    """Set one message's keywords, durably. Raises OSError."""
    files.make_directory(folder, DIRECTORY)
    content = b"".join(name + b"\n" for name in sorted(keywords))
    files.replace_file(folder, DIRECTORY, base, content)


def write_many(folder: int, changes: Mapping[bytes, Keywords]) -> None:
    """Set the keywords of many messages, durably, with one wait for the disk. Raises OSError: then some may be set."""
    if len(changes) < _GROUP:
        for base, words in changes.items():
            write_keywords(folder, base, words)
        return
    files.make_directory(folder, DIRECTORY)
    prepared: dict[bytes, bytes] = {}
    try:
        for base, words in changes.items():
            tmp = b"tmp/" + files.unique_name().encode()
            files.write_new(folder, tmp, b"".join(name + b"\n" for name in sorted(words)), sync=False)
            prepared[tmp] = DIRECTORY + base
        files.sync_all(folder)
        for tmp in tuple(prepared):
            os.rename(tmp, prepared.pop(tmp), src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        for tmp in prepared:
            with contextlib.suppress(OSError):
                os.unlink(tmp, dir_fd=folder)


def merge_due(table: KeywordTable) -> bool:
    """Whether there is a reason to merge.

    Merged files that have expired are one: they are removed when a `:list` stands that certainly holds them, for
    somebody slow may have put an older one in place of that which they were merged into."""
    return table.changes > MERGE_AT or table.expired


def merge(folder: int, table: KeywordTable, alive: Collection[bytes]) -> None:
    """Put a new `:list` in place of many changes. Never raises OSError: what was not merged still counts."""
    with contextlib.suppress(OSError):
        period = _period()
        names = files.list_names(folder, DIRECTORY)
        files.replace_file(folder, DIRECTORY, b":list", render_list(table, alive))
        for number, base, name in _changes(names):
            with contextlib.suppress(FileNotFoundError):
                _retire(folder, number, base, name, period)


def _retire(folder: int, number: float, base: bytes, name: bytes, period: int) -> None:
    path = DIRECTORY + name
    if number == _UNMERGED:
        target = b"%b.%d.%b" % (DIRECTORY, period, base)
        os.rename(path, target, src_dir_fd=folder, dst_dir_fd=folder)
    elif _expired(number, period):
        os.unlink(path, dir_fd=folder)


def _period() -> int:
    """The N that a change merged now gets."""
    return int(time.time()) // _PERIOD_SECONDS + 1


def _expired(number: float, period: int) -> bool:
    return number < period - _LIFETIME_SECONDS // _PERIOD_SECONDS
