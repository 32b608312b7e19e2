"""What the programs share: how one ends, and the other program that it runs."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence

from qmail.message.error_words import error_words

PERMANENT = 100
TEMPORARY = 111
Program = Callable[[Sequence[bytes]], int]

_PIECE_BYTES = 64 * 1024
_SIGPIPE = 13
# error_temp.c: what may be otherwise at the next attempt.
_TEMPORARY_ERRORS = frozenset(
    {
        *(errno.EINTR, errno.ENOMEM, errno.ETXTBSY, errno.EIO, errno.ETIMEDOUT, errno.EWOULDBLOCK, errno.EAGAIN),
        *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOLCK, errno.ENOBUFS, errno.EDQUOT, errno.ESTALE),
        *(errno.ENFILE, errno.EMFILE, errno.ENOSPC, errno.EDEADLK),
    }
)


class Ends(SystemExit):
    """The program ends: `text`, a line, goes to standard error, `code` to whoever waits for it."""

    def __init__(self, code: int, text: bytes) -> None:
        write_all(2, text + b"\n")
        super().__init__(code)


def fatal(program: bytes, text: bytes, code: int = TEMPORARY) -> Ends:
    """`program: fatal: text`."""
    return Ends(code, program + b": fatal: " + text)


def of_system(program: bytes, text: bytes, error: OSError) -> Ends:
    """The same, and what the system said."""
    return fatal(program, text + b": " + error_words(error))


def variable(name: bytes) -> bytes | None:
    """What the environment has under a name."""
    return os.environb.get(name)


def write_all(descriptor: int, data: bytes) -> None:
    """To its last byte. Raises OSError."""
    while data:
        data = data[os.write(descriptor, data) :]


def read_pieces(descriptor: int = 0) -> Iterable[bytes]:
    """To its end. Raises OSError."""
    while piece := os.read(descriptor, _PIECE_BYTES):
        yield piece


def is_temporary(error: OSError) -> bool:
    """Whether it may work later."""
    return error.errno in _TEMPORARY_ERRORS


def start(arguments: Sequence[bytes], stdin: int | None = None) -> int:
    """Start a program, looked for in PATH, with another standard input if given; its process id. Raises OSError."""
    if not arguments[0]:
        raise FileNotFoundError(errno.ENOENT, "")
    actions = [] if stdin is None else [(os.POSIX_SPAWN_DUP2, stdin, 0)]
    # Python ignores SIGPIPE; a program expects its default.
    return os.posix_spawnp(arguments[0], list(arguments), os.environb, file_actions=actions, setsigdef=[_SIGPIPE])


def exit_code(program: bytes, pid: int) -> int:
    """Wait for a program; its exit code. Raises Ends where it was killed."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        raise fatal(program, b"child crashed")
    return code


def replace(program: bytes, arguments: Sequence[bytes], environ: dict[bytes, bytes] | None = None) -> Ends:
    """Become another program, looked for in PATH; what to raise where that cannot be."""
    sys.stdout.flush()
    try:
        os.execvpe(arguments[0], list(arguments), os.environb if environ is None else environ)
    except OSError as error:
        return of_system(program, b"unable to run " + arguments[0], error)
