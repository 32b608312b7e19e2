"""Looking into a Maildir: the list of messages, new to cur, sweeping tmp. See maildir(5), qmail-pop3d(8).

Blocking; call it in an `ActingPool`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from qmail.maildir.names import base_name, flagged_name, is_message_name, parse_flags

#: What is untouched in tmp for so long was left by a writer that died; writers give up after 24 hours.
TMP_LIFETIME_SECONDS: Final = 36 * 60 * 60

Folder = Literal["new", "cur"]
_FOLDERS: Final[tuple[Folder, ...]] = ("new", "cur")
# Who renames while we look is looked at again, so often.
_LOOKS: Final = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One message file as seen by a scan."""

    name: bytes  #: file name
    base: bytes  #: unique part of the name, up to the colon
    flags: bytes  #: letters after `:2,`, sorted
    folder: Folder
    size: int  #: bytes, lines ended by LF as stored
    mtime_ns: int
    inode: int


def scan(maildir: Path | str, known: Mapping[bytes, Entry] = MappingProxyType({})) -> list[Entry]:
    """Every message in new and cur, in no order.

    known: what an earlier scan found under these names; a message never changes, so it is not looked at again.

    A message moved from new to cur meanwhile is listed once, one renamed under our eyes is looked for again.
    Raises OSError, also for a folder that is missing (qmail.maildir.parts): no list is no proof that there is no mail.
    """
    found: dict[bytes, Entry] = {}
    for _ in range(_LOOKS):
        found, vanished = {}, False
        for folder in _FOLDERS:
            for entry in _scan_folder(maildir, folder, known):
                if entry is None:
                    vanished = True
                else:
                    found[entry.base] = entry
        if not vanished:
            break
    return list(found.values())


def _scan_folder(maildir: Path | str, folder: Folder, known: Mapping[bytes, Entry]) -> Iterator[Entry | None]:
    """None for a name that was listed and is not there any more."""
    with os.scandir(os.fsencode(os.path.join(maildir, folder))) as listing:
        for item in listing:
            before = known.get(item.name)
            if before is not None and before.folder == folder and item.inode() == before.inode:
                yield before
                continue
            if not is_message_name(item.name):
                continue
            try:
                facts = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                yield None
                continue
            if stat.S_ISREG(facts.st_mode):
                name = item.name
                base, flags = base_name(name), parse_flags(name)
                yield Entry(name, base, flags, folder, facts.st_size, facts.st_mtime_ns, facts.st_ino)


def move_to_cur(maildir: Path | str, name: bytes, flags: bytes = b"") -> bytes | None:
    """Rename new/name to cur/base:2,flags; the new name, or None if somebody else moved it first.

    Raises OSError.
    """
    moved = flagged_name(base_name(name), flags)
    directory = os.fsencode(maildir)
    try:
        os.rename(os.path.join(directory, b"new", name), os.path.join(directory, b"cur", moved))
    except FileNotFoundError:
        return None
    return moved


def clean_tmp(maildir: Path | str, now: float, *, as_qmail: bool = False) -> int:
    """Remove files in tmp untouched for 36 hours; their number. now: seconds since 1970.

    as_qmail: by the times that qmail-pop3d(8) looks at, which whoever writes a file may set. Never raises for single
    files: a sweep must not stand between a user and the mail.
    """
    try:
        directory = os.open(maildir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return clean_tmp_at(directory, now, as_qmail=as_qmail)
    finally:
        os.close(directory)


def clean_tmp_at(directory: int, now: float, *, as_qmail: bool = False) -> int:
    """As `clean_tmp`, in the Maildir that is the open directory."""
    try:
        tmp = os.open("tmp", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return 0
    touched = _touched_as_qmail if as_qmail else _touched
    try:
        return sum(_sweep(tmp, name, now, touched) for name in os.listdir(tmp))
    finally:
        os.close(tmp)


def _touched(facts: os.stat_result) -> float:
    """By the kernel's own word. The other times belong to the message: whoever copies mail gives them its date."""
    return facts.st_ctime


def _touched_as_qmail(facts: os.stat_result) -> float:
    return max(facts.st_atime, facts.st_mtime)


def _sweep(tmp: int, name: str, now: float, touched: Callable[[os.stat_result], float]) -> bool:
    try:
        facts = os.stat(name, dir_fd=tmp, follow_symlinks=False)
        ours = stat.S_ISREG(facts.st_mode) and not name.startswith(".")
        if not ours or now <= touched(facts) + TMP_LIFETIME_SECONDS:
            return False
        os.unlink(name, dir_fd=tmp)
    except OSError:
        return False
    return True
