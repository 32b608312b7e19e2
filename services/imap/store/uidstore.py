"""Reading and claiming UID lists (see `uidlist`) below an open folder directory. Blocking; as the account."""

from __future__ import annotations

import contextlib
import os
import time

from services.imap import replies
from services.imap.store import files
from services.imap.store.errors import Busy
from services.imap.store.uidlist import (
    InvalidList,
    ListFile,
    UidList,
    parse_courier,
    parse_file,
    render_file,
    start_list,
)

DIRECTORY = b"imapuids"
COURIER = b"courierimapuiddb"
# After so many increments at most the next writer writes a whole list.
MAX_CHAIN = 64
_PREPARED = b"tmp."
_PREPARED_LIFETIME_SECONDS = 3600
_READ_TRIES = 20


def longest_chain(entries: int) -> int:
    """How many files a list of so many entries may have: a short list is written anew sooner than read in parts."""
    return min(MAX_CHAIN, 8 + entries // 256)


def read_list(folder: int, known: UidList | None = None) -> UidList:
    """The folder's list now; goes on from `known` where the files allow it. UidList() if there is none yet.

    Raises OSError; Busy when the files change faster than they can be read."""
    for _ in range(_READ_TRIES):
        try:
            return _read_once(folder, known)
        except _Moved:
            continue
    raise Busy(replies.MAILBOX_BUSY)


class _Moved(Exception):
    """A file of the chain was removed meanwhile, because a newer whole list stands."""


def _numbers(folder: int) -> list[int]:
    try:
        names = files.list_names(folder, DIRECTORY)
    except FileNotFoundError:
        os.stat(b"cur", dir_fd=folder)  # a folder that is gone must not look like one that is new
        return []
    return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def has_list(folder: int) -> bool:
    """Whether the folder's messages were ever numbered. Raises OSError."""
    return bool(_numbers(folder))


def _read_once(folder: int, known: UidList | None) -> UidList:
    numbers = _numbers(folder)
    if known is not None and numbers and known.number == numbers[0]:
        return known
    if not numbers:
        return UidList()
    state = _read_chain(folder, numbers[0], known)
    # Files are linked whole, so this is a damaged disk. UIDs told from the lost file must not be given to others: the
    # list is begun anew above the files that there are, under a new UIDVALIDITY.
    return state if state is not None else UidList(number=numbers[0])


def _read_chain(folder: int, top: int, known: UidList | None) -> UidList | None:
    """The state of the chain that ends with file `top`; None where the chain is not valid."""
    above: list[ListFile] = []
    number = top
    while True:
        if known is not None and known.number == number and (not above or above[-1].below == known.sum):
            state = _copy(known)
            break
        file = _read_file(folder, number, top)
        if file is None or (above and above[-1].below != file.sum):
            return None
        if file.whole:
            state = start_list(file)
            break
        above.append(file)
        number -= 1
    for file in reversed(above):
        state.extended(file)
    return state


def _copy(known: UidList) -> UidList:
    return UidList(known.number, known.validity, known.next_uid, known.recent, known.sum, known.chain, dict(known.uids))


def _read_file(folder: int, number: int, top: int) -> ListFile | None:
    try:
        file = parse_file(files.read_all(folder, b"%b/%d" % (DIRECTORY, number)))
    except InvalidList:
        return None
    except FileNotFoundError:
        if _numbers(folder)[:1] == [top]:
            return None
        raise _Moved from None
    return file if file.number == number else None


def read_courier(folder: int) -> UidList | None:
    """Courier's list, for the first start on a folder that Courier kept; None: there is none."""
    try:
        return parse_courier(files.read_all(folder, COURIER))
    except FileNotFoundError:
        return None


def claim(folder: int, file: ListFile) -> bool:
    """Put the list file in place, on stable storage. False: it was not certain to be ours, so read again.

    Raises OSError (full disk, read-only disk); nothing is left behind then, or a prepared file that is swept later."""
    files.make_directory(folder, DIRECTORY)
    fd = os.open(DIRECTORY, files.DIRECTORY, dir_fd=folder)
    try:
        mine = _link_prepared(fd, file)
        return bool(mine) and (_is_highest(fd, file.number) or _in_chain(folder, file.number, mine))
    finally:
        os.close(fd)


def _link_prepared(fd: int, file: ListFile) -> bytes:
    """The sum of the file in its place; empty if somebody else has the number."""
    prepared = _PREPARED + files.unique_name().encode()
    content = render_file(file)
    files.write_new(fd, prepared, content)
    try:
        os.link(prepared, b"%d" % file.number, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
    except FileExistsError:
        return b""
    except FileNotFoundError:
        return b""  # we stood still for so long that it was swept: what we know is old
    finally:
        with contextlib.suppress(OSError):
            os.unlink(prepared, dir_fd=fd)
    os.fsync(fd)
    return parse_file(content).sum


def _is_highest(fd: int, number: int) -> bool:
    """A slow writer may have linked its number where others had passed and cleaned up: then it has claimed nothing."""
    return not any(name.isdigit() and int(name) > number for name in os.listdir(fd))


def _in_chain(folder: int, number: int, mine: bytes) -> bool:
    """Whether others have gone on from our file already. Not certain when a whole list stands above: then no."""
    try:
        for above in reversed(range(number, _numbers(folder)[0] + 1)):
            file = parse_file(files.read_all(folder, b"%b/%d" % (DIRECTORY, above)))
            if above == number:
                return file.sum == mine
            if file.whole:
                return False
    except (InvalidList, FileNotFoundError):
        return False
    return False


def clean_below(folder: int, number: int) -> None:
    """Remove what a whole list has made needless, and what crashed writers left prepared. Never raises OSError."""
    limit = time.time() - _PREPARED_LIFETIME_SECONDS
    with contextlib.suppress(OSError):
        for name in files.list_names(folder, DIRECTORY):
            # Each by itself: another writer's prepared file is often gone by now, and that must not end the sweep.
            with contextlib.suppress(OSError):
                _clean(folder, name, number, limit)


def _clean(folder: int, name: bytes, number: int, limit: float) -> None:
    path = DIRECTORY + b"/" + name
    old = name.isdigit() and int(name) < number
    if old or (name.startswith(_PREPARED) and os.stat(path, dir_fd=folder).st_mtime < limit):
        os.unlink(path, dir_fd=folder)
