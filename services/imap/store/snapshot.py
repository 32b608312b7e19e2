"""A folder as it lies on disk: files of new and cur, by the unique part of their names."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from qmail.maildir.names import base_name, flagged_name, is_message_name, parse_flags
from qmail.maildir.repeated import settle_repeated
from services.imap.store import files
from services.imap.store.keywords import DIRECTORY as KEYWORDS
from services.imap.store.uidstore import DIRECTORY as UIDS

# Directory times come from the kernel's tick: a change so soon after another may leave them as they are.
_TICK_NS = 20_000_000
_NAMED = (b"new", b"cur")
_WATCHED = (*_NAMED, UIDS, KEYWORDS)


@dataclass(frozen=True, slots=True)
class File:
    """One message's file; `path` is below the folder, `flags` the letters of its name, or what this session would have
    there and has no room for."""

    path: bytes
    flags: bytes


def scan(folder: int, before: Mapping[bytes, File] = MappingProxyType({})) -> dict[bytes, File]:
    """Every message by base name. One that is being moved from new to cur is listed once. Raises OSError.

    `before`: an earlier scan, whose entries stand for files that are named as they were."""
    found: dict[bytes, File] = {}
    for directory in (b"new/", b"cur/"):
        for name in _regular_files(folder, directory):
            path, base = directory + name, base_name(name)
            known = before.get(base)
            found[base] = known if known is not None and known.path == path else File(path, parse_flags(name))
    return found


def _regular_files(folder: int, directory: bytes) -> Iterator[bytes]:
    """Names of what may be messages: no directories, links, FIFOs."""
    fd = os.open(directory, files.DIRECTORY, dir_fd=folder)
    try:
        with os.scandir(fd) as listing:
            for entry in listing:
                name = os.fsencode(entry.name)
                if is_message_name(name) and entry.is_file(follow_symlinks=False):
                    yield name
    finally:
        os.close(fd)


def scan_surely(folder: int, before: dict[bytes, File], awaited: Iterable[bytes] = ()) -> dict[bytes, File]:
    """As `scan`; what was there before, or is `awaited`, and is missing is looked for once more, because readdir(3) may
    miss a file that is renamed meanwhile, and a message must not seem gone for that."""
    stamp = Stamp(_NAMED)
    stamp.changed(folder)
    found = scan(folder, before)
    missing = (before.keys() | set(awaited)) - found.keys()
    if missing and stamp.changed(folder):
        again = scan(folder)
        found.update((base, again[base]) for base in missing & again.keys())
    return found


def move_new(folder: int, found: dict[bytes, File]) -> None:
    """Move what is in new to cur, and say so in `found`. What cannot be moved stays where it is.

    What is in cur as well was delivered twice, and only one stays. What came after the look is left for the next."""
    for name in files.list_names(folder, b"new"):
        path, base = b"new/" + name, base_name(name)
        file = found.get(base)
        if file is None:
            continue
        with contextlib.suppress(OSError):
            if file.path == path:
                moved = b"cur/" + flagged_name(base, file.flags)
                os.rename(path, moved, src_dir_fd=folder, dst_dir_fd=folder)
                found[base] = File(moved, file.flags)
            elif file.path.startswith(b"cur/"):
                settle_repeated(folder, path, file.path)


class Stamp:
    """Whether a folder may have changed since it was looked at, without reading it."""

    __slots__ = ("_directories", "_seen", "_sure")

    def __init__(self, directories: tuple[bytes, ...] = _WATCHED) -> None:
        self._directories = directories
        self._seen: tuple[int, ...] | None = None
        self._sure = False

    def changed(self, folder: int) -> bool:
        """Take the folder's times; call before reading it. Raises OSError for a folder that is gone."""
        now = time.time_ns()
        seen = tuple(_time(folder, name) for name in self._directories)
        if seen == self._seen and self._sure:
            return False
        self._seen, self._sure = seen, max(seen) < now - _TICK_NS
        return True

    def forget(self) -> None:
        """Take the folder as changed."""
        self._seen = None


def _time(folder: int, name: bytes) -> int:
    try:
        return os.stat(name, dir_fd=folder).st_mtime_ns
    except FileNotFoundError:
        if name in (b"new", b"cur"):
            raise
        return 0
