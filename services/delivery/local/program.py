"""Running the program of a `|` line: becoming its user, and judging how it ended. See qmail-command(8)."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping
from typing import Final, NoReturn

from qmail.message.error_words import error_words
from services.delivery.local import replies
from services.delivery.local.refusal import Refusal, temporary
from services.delivery.outcome import Kind

#: Exit codes that mean the message will never be accepted.
_PERMANENT: Final = frozenset((100, 64, 65, 70, 76, 77, 78, 112))
_STOP: Final = 99
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
# prctl(2), capset(2)
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522
_TEMPORARY: Final = 111
#: Signals that Python, the spawner or whoever started us (nohup) ignores and a program expects at their default.
_RESTORED: Final = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def goes_on(exit_code: int | None) -> bool:
    """Whether the rest of the .qmail is to be done after a program that ended so.

    exit_code: negative for a signal, None for one that was killed because it took too long. Raises Refusal.
    """
    if exit_code is None:
        raise temporary(replies.PROGRAM_TOO_SLOW)
    if exit_code in (0, _STOP):
        return exit_code == 0
    if exit_code < 0:
        raise temporary(replies.CHILD_CRASHED)
    # What the program wrote is all that there is to say.
    raise Refusal(Kind.FAILURE if exit_code in _PERMANENT else Kind.DEFERRAL, b"")


def become(uid: int, gid: int) -> None:
    """Make this process the user's for good, without any capability. Raises OSError, and Refusal for uid 0."""
    if uid <= 0 or gid <= 0:
        raise temporary(replies.NOT_AS_ROOT)
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _drop_capabilities()


def _drop_capabilities() -> None:
    """The kernel takes them away only from who was uid 0; a role with a uid of its own would hand SETUID on."""
    no_more = _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    ambient = _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if no_more or ambient or _LIBC.capset(header, none):
        raise OSError(ctypes.get_errno(), "capabilities were not dropped")


def die_with_parent() -> None:
    """Be killed when the parent dies. To be called after `become`, which would undo it (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def execute(command: bytes, home: bytes, variables: Mapping[bytes, bytes]) -> NoReturn:
    """Replace this process by `/bin/sh -c command` in the home; never returns.

    The caller has made it a child of its own with descriptors 0, 1 and 2 in place.
    """
    try:
        os.umask(0o077)
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        os.chdir(home)
        os.execve(b"/bin/sh", [b"/bin/sh", b"-c", command], variables)
    except OSError as error:
        os.write(2, b"Unable to run /bin/sh: " + error_words(error) + b". (#4.3.0)\n")
    except Exception:
        os.write(2, replies.PROGRAM_NOT_RUN + b"\n")
    os._exit(_TEMPORARY)
