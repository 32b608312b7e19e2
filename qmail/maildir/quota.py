"""A Maildir's quota: `maildirsize` as Courier's deliverquota keeps it (README.maildirquota). Blocking.

    100000S,50C
    <bytes, 12 wide> <messages, 12 wide>
    ...

The first line is the limit: bytes (S), messages (C), or both. Each other line is a change, the first of them the sum as
it was counted. Whoever adds or removes a message appends a line. What lies in Trash does not count, nor does a message
that is flagged T.

The file is counted anew when it has grown to 5120 bytes, and before anything is refused by it, where it is older than
15 minutes or holds more than one sum. Errors in it are never in the way of mail: without a quota that can be read there
is none.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qmail.maildir.names import base_name, is_message_name, parse_flags

FILE: Final = b"maildirsize"
TRASH: Final = b".Trash"
MAX_BYTES: Final = 5120
LIFETIME_SECONDS: Final = 900.0
_LIMITS = re.compile(rb"(?:([0-9]{1,18})S)?,?(?:([0-9]{1,18})C)?\Z")
_SIZE = re.compile(rb",S=([0-9]{1,18})(?=[,:]|\Z)")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Limits:
    """None: as many as there may be."""

    bytes: int | None = None
    messages: int | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """`changes`: how many lines the sum is made of. `time`: of the file, seconds since the epoch."""

    limits: Limits
    bytes: int = 0
    messages: int = 0
    changes: int = 0
    time: float = 0.0

    def fits(self, size: int, count: int) -> bool:
        """Whether so much more has room."""
        limits = self.limits
        return (limits.bytes is None or self.bytes + size <= limits.bytes) and (
            limits.messages is None or self.messages + count <= limits.messages
        )

    def percent(self) -> int:
        """How full it is, of that limit which is nearer."""
        parts = ((self.bytes, self.limits.bytes), (self.messages, self.limits.messages))
        return max(100 * used // max(limit, 1) for used, limit in parts if limit is not None)


def parse_limits(text: bytes) -> Limits | None:
    """`100000S,50C`; None: it limits nothing, or is none."""
    found = _LIMITS.match(text.strip())
    if found is None or not (found[1] or found[2]):
        return None
    limits = Limits(*(None if digits is None else int(digits) for digits in found.groups()))
    # 0 limits nothing, as maildirmake has it.
    limits = Limits(limits.bytes or None, limits.messages or None)
    return None if limits == Limits() else limits


def render_limits(limits: Limits) -> bytes:
    """As `parse_limits` reads it."""
    parts = ((limits.bytes, b"%dS"), (limits.messages, b"%dC"))
    return b",".join(form % limit for limit, form in parts if limit is not None)


def parse_quota(content: bytes, modified: float) -> Quota | None:
    """A whole file; lines that cannot be understood count nothing. None: there is no limit."""
    head, *lines = content.split(b"\n")
    limits = parse_limits(head)
    if limits is None:
        return None
    changes = []
    for line in lines:
        words = line.split()
        if len(words) == 2 and all(re.fullmatch(rb"-?[0-9]{1,18}", word) for word in words):
            changes.append((int(words[0]), int(words[1])))
    size, count = (max(0, sum(change[at] for change in changes)) for at in (0, 1))
    return Quota(limits, size, count, len(changes), modified)


def read_quota(directory: int, below: bytes = b"") -> Quota | None:
    """The quota of the Maildir at `below`, a path ending in a slash, of the open directory; None: it has none."""
    try:
        fd = os.open(below + FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return None
    try:
        content, modified = os.read(fd, MAX_BYTES), os.fstat(fd).st_mtime
    except OSError:
        return None
    finally:
        os.close(fd)
    quota = parse_quota(content, modified)
    if quota is not None and (len(content) >= MAX_BYTES or not quota.changes):
        return recount(directory, quota.limits, below)
    return quota


def has_room(directory: int, size: int, count: int = 1, below: bytes = b"") -> bool:
    """Whether so much more has room in the Maildir."""
    quota = read_quota(directory, below)
    if quota is None or quota.fits(size, count):
        return True
    if quota.changes > 1 or time.time() - quota.time >= LIFETIME_SECONDS:
        quota = recount(directory, quota.limits, below)
    return quota.fits(size, count)


def add(directory: int, size: int, count: int, below: bytes = b"") -> None:
    """So much has come, or with negative numbers gone. Nothing is raised: it is counted anew some day."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(below + FILE, flags, dir_fd=directory)
    except OSError:
        return
    try:
        os.write(fd, _line(size, count))
    except OSError:
        pass  # counted anew some day
    finally:
        os.close(fd)


def recount(directory: int, limits: Limits, below: bytes = b"") -> Quota:
    """Count everything, and put a new file in place where that can be done."""
    size = count = 0
    for one in _sizes(directory, below):
        size += one
        count += 1
    content = render_limits(limits) + b"\n" + _line(size, count)
    aside = below + b"tmp/%d.quota%d_%d" % (int(time.time()), os.getpid(), time.monotonic_ns())
    try:
        _write(directory, aside, content)
        os.rename(aside, below + FILE, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        pass  # what was counted is right all the same
    return Quota(limits, size, count, 1, time.time())


def set_limits(directory: int, limits: Limits | None, below: bytes = b"") -> None:
    """Give the Maildir this quota, None: none any more. Raises OSError."""
    if limits is not None:
        recount(directory, limits, below)
        if read_quota(directory, below) is None:
            raise OSError(f"{FILE.decode()} cannot be written")
        return
    try:
        os.unlink(below + FILE, dir_fd=directory)
    except FileNotFoundError:
        return


def size_of(name: bytes, directory: int) -> int:
    """A message's size on disk, by its name where that tells it. Raises OSError."""
    found = _SIZE.search(base_name(os.path.basename(name)))
    return int(found[1]) if found else os.stat(name, dir_fd=directory, follow_symlinks=False).st_size


def _write(directory: int, path: bytes, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


def _line(size: int, count: int) -> bytes:
    return b"%12d %12d\n" % (size, count)


def _sizes(directory: int, below: bytes) -> Iterator[int]:
    """Of every message that counts."""
    folders = [b""]
    for name in _names(directory, below or b"."):
        if name.startswith(b".") and name not in (b".", b"..", TRASH):
            folders.append(name + b"/")
    for folder in folders:
        for part in (b"new", b"cur"):
            yield from _sizes_in(directory, below + folder + part)


def _sizes_in(directory: int, path: bytes) -> Iterator[int]:
    try:
        fd = os.open(path, _DIRECTORY, dir_fd=directory)
    except OSError:
        return
    try:
        for name in os.listdir(fd):
            entry = os.fsencode(name)
            if is_message_name(entry) and b"T" not in parse_flags(entry):
                try:
                    yield size_of(entry, fd)
                except OSError:
                    continue  # gone meanwhile
    finally:
        os.close(fd)


def _names(directory: int, path: bytes) -> list[bytes]:
    try:
        fd = os.open(path, _DIRECTORY, dir_fd=directory)
    except OSError:
        return []
    try:
        return [os.fsencode(name) for name in os.listdir(fd)]
    finally:
        os.close(fd)
