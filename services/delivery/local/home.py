"""A user's home as qmail-local meets it: its mode, the .qmail file. Blocking, as the user. See dot-qmail(5)."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from qmail.message.address import Address
from qmail.message.value import value
from services.delivery.local import replies
from services.delivery.local.job import Job
from services.delivery.local.plan import candidates, new_sender, owner_names
from services.delivery.local.refusal import permanent, temporary

#: Who may not write: others (qmail's conf-patrn 002).
_FORBIDDEN_MODE: Final = 0o002
#: A .qmail beyond this is a mistake, not a list.
MAX_DOT_QMAIL_BYTES: Final = 4 * 1024 * 1024
#: A file is not there. Every other error is a doubt, and therefore a deferral.
_NOT_THERE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENXIO))


@value()
class DotQmail:
    """The instructions found for an address."""

    content: bytes
    executable: bool
    default: bytes | None


def open_home(home: bytes) -> int:
    """A descriptor (O_PATH) of the home. Raises Refusal where it cannot be entered."""
    try:
        return os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise temporary(replies.no_home(home, error)) from error


def check_home(fd: int, home: bytes) -> bool:
    """Whether the home is sticky. Raises Refusal if it cannot be entered or others may write to it."""
    try:
        # Looking up the dot needs the right to enter, as chdir(2) does.
        mode = os.stat(b".", dir_fd=fd).st_mode
    except OSError as error:
        raise temporary(replies.no_home(home, error)) from error
    if mode & _FORBIDDEN_MODE:
        raise temporary(replies.HOME_WRITABLE)
    return bool(mode & stat.S_ISVTX)


def enter_home(home: bytes) -> int:
    """A descriptor of the home, if a delivery may be made in it. Raises Refusal."""
    fd = open_home(home)
    try:
        if check_home(fd, home):
            raise temporary(replies.HOME_STICKY)
    except BaseException:
        os.close(fd)
        raise
    return fd


def find_dot_qmail(fd: int, job: Job) -> DotQmail:
    """The .qmail that decides, or the default delivery.

    Raises Refusal: nothing here by that name, or the file is not fit to be trusted or read.
    """
    for candidate in candidates(job.dash, job.ext):
        found = _read(fd, candidate.name)
        if found is None:
            continue
        content, executable = found
        if not content:
            return DotQmail(job.default_delivery, executable=False, default=candidate.default)
        return DotQmail(content, executable, candidate.default)
    if job.dash:
        raise permanent(replies.NO_MAILBOX)
    return DotQmail(job.default_delivery, executable=False, default=None)


def _read(home: int, name: bytes) -> tuple[bytes, bool] | None:
    """Content and x bit of a regular file; None where there is none of that name."""
    try:
        # Not to wait for the writer of a FIFO of that name.
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=home)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise temporary(replies.dot_qmail_unreadable(name, error)) from error
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            return None
        if facts.st_mode & _FORBIDDEN_MODE:
            raise temporary(replies.DOT_QMAIL_WRITABLE)
        return _content(fd, facts.st_size), bool(facts.st_mode & stat.S_IXUSR)
    except OSError as error:
        raise temporary(replies.dot_qmail_unreadable(name, error)) from error
    finally:
        os.close(fd)


def _content(fd: int, size: int) -> bytes:
    if size > MAX_DOT_QMAIL_BYTES:
        raise temporary(replies.DOT_QMAIL_TOO_LONG)
    return os.read(fd, size)


def find_new_sender(fd: int, job: Job) -> Address:
    """NEWSENDER, by the -owner files beside the address's .qmail. Raises Refusal on a doubt."""
    owner, owner_default = owner_names(job)
    has_owner = _exists(fd, owner)
    return new_sender(job, owner=has_owner, owner_default=has_owner and _exists(fd, owner_default))


def _exists(fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=fd)
    except OSError as error:
        if error.errno in _NOT_THERE or error.errno in (errno.EACCES, errno.ELOOP):
            return False
        raise temporary(replies.dot_qmail_unreadable(name, error)) from error
    return True
