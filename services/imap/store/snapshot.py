"""A folder as it lies on disk: files of new and cur, by the unique part of their names."""

from __future__ import annotations

import contextlib
import os
import stat
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
NAMED = (b"new", b"cur")
_WATCHED = (*NAMED, UIDS, KEYWORDS)


@dataclass(frozen=True, slots=True)
class File:
    """One message's file; `path` is below the folder, `flags` the letters of its name, or what this session would have
    there and has no room for."""

    path: bytes
    flags: bytes


class Files(dict[bytes, File]):
    """Files by base name. `doubled`: some have another name beside that which is listed."""

    doubled = False


def scan(folder: int, before: Mapping[bytes, File] = MappingProxyType({})) -> Files:
    """Every message by base name. One that is being moved from new to cur is listed once. Raises OSError.

    `before`: an earlier scan, whose entries stand for files that are named as they were."""
    found = Files()
    for directory in (b"new/", b"cur/"):
        for name in _regular_files(folder, directory):
            path, base = directory + name, base_name(name)
            known = before.get(base)
            found.doubled = found.doubled or base in found
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


def scan_surely(folder: int, before: Mapping[bytes, File], awaited: Iterable[bytes] = ()) -> Files:
    """As `scan`; what was there before, or is `awaited`, and is missing is looked for once more, because readdir(3) may
    miss a file that is renamed meanwhile, and a message must not seem gone for that."""
    stamp = Stamp(NAMED)
    stamp.changed(folder)
    found = scan(folder, before)
    missing = (before.keys() | set(awaited)) - found.keys()
    if missing and stamp.changed(folder):
        again = scan(folder)
        found.update((base, again[base]) for base in missing & again.keys())
    return found


def move_new(folder: int, found: Files) -> list[bytes]:
    """Move what is in new to cur, and say so in `found`; whose names those are. What cannot be moved stays where it is.

    What is in cur as well was delivered twice, and only one stays. What came after the look is left for the next."""
    moved_bases = []
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
                moved_bases.append(base)
            elif file.path.startswith(b"cur/"):
                settle_repeated(folder, path, file.path)
    return moved_bases


def follow(folder: int, found: Files, events: Mapping[bytes, bool]) -> set[bytes] | None:
    """Bring a scan up to date by what became of which path; the bases concerned. None: a scan is needed, for a message
    has two names. Raises OSError."""
    touched = set()
    for path, there in events.items():
        base = base_name(path[4:])
        known = found.get(base)
        if not there and known is not None and known.path == path:
            del found[base]
            touched.add(base)
    for path, there in events.items():
        base, known = base_name(path[4:]), found.get(base_name(path[4:]))
        if not there or not is_message_name(path[4:]) or (known is not None and known.path == path):
            continue
        if not _is_file(folder, path):
            continue
        if known is not None:
            return None
        found[base] = File(path, parse_flags(path[4:]))
        touched.add(base)
    return touched


def _is_file(folder: int, path: bytes) -> bool:
    try:
        return stat.S_ISREG(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False  # what became of it is heard next time


class Stamp:
    """Whether a folder may have changed since it was looked at, without reading it."""

    __slots__ = ("_directories", "_seen", "_sure_below")

    def __init__(self, directories: tuple[bytes, ...] = _WATCHED) -> None:
        self._directories = directories
        self._seen: dict[bytes, int] = {}
        self._sure_below = 0

    def changed(self, folder: int) -> dict[bytes, bool]:
        """The directories that may have changed, and whether it is certain; empty: none. Takes their times; call before
        reading them. Raises OSError for a folder that is gone."""
        now = time.time_ns()
        seen = {name: _time(folder, name) for name in self._directories}
        before, sure_below = self._seen, self._sure_below
        found = {
            name: before.get(name) != at for name, at in seen.items() if before.get(name) != at or at >= sure_below
        }
        self._seen, self._sure_below = seen, now - _TICK_NS
        return found

    def forget(self) -> None:
        """Take the folder as changed."""
        self._seen = {}


def _time(folder: int, name: bytes) -> int:
    try:
        return os.stat(name, dir_fd=folder).st_mtime_ns
    except FileNotFoundError:
        if name in (b"new", b"cur"):
            raise
        return 0
