"""`python -m services.inject.sendmail`: sendmail's command line over qmail-inject (qmail's sendmail.c)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from qmail.paths import read_paths
from services.inject import replies
from services.inject.__main__ import run as inject
from services.inject.options import Options
from services.inject.replies import PERMANENT, Fatal

_ALONE = b"vimtx"
_TAKES = b"efpoBFb"
# Sony NEWS-OS: an optional argument in the same word.
_SWALLOW = b"EJ"


def to_inject(
    program: bytes, arguments: Sequence[bytes], environ: Mapping[bytes, bytes]
) -> tuple[list[bytes], dict[bytes, bytes]]:
    """qmail-inject's arguments and environment for sendmail's. Raises Fatal."""
    environment = dict(environ)
    sender: list[bytes] = []
    strategy = b"-a"
    options = Options(
        program,
        arguments,
        alone=_ALONE,
        takes=_TAKES,
        swallow=_SWALLOW,
        usage=replies.SENDMAIL_USAGE,
    )
    for letter, argument in options:
        if letter == b"t":
            strategy = b"-H"
        elif letter == b"f":
            sender = [b"-f", argument]
        elif letter == b"F":
            environment[b"MAILNAME"] = argument
        elif letter == b"b":
            _check_mode(argument)
    if program == b"mailq":
        raise Fatal(PERMANENT, replies.SENDMAIL_NO_LIST)
    if program == b"newaliases":
        raise Fatal(PERMANENT, replies.SENDMAIL_NO_ALIASES)
    return [strategy, *sender, b"--", *options.rest], environment


def _check_mode(argument: bytes) -> None:
    refusals = {b"p": replies.SENDMAIL_NO_LIST, b"s": replies.SENDMAIL_NO_SMTP}
    mode = argument[:1]
    if mode != b"m":
        raise Fatal(PERMANENT, refusals.get(mode, replies.SENDMAIL_USAGE))


def _list_queue() -> None:
    """Become qmail-qread where there is one; return where there is not, as in a container that delivers."""
    lister = read_paths(os.environ).control.parent / "bin" / "qmail-qread"
    with contextlib.suppress(OSError):
        os.execv(lister, [str(lister)])


def run(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """sendmail, mailq or newaliases, whichever name called (SENDMAIL_NAME, set by the wrappers); the exit code."""
    program = os.fsencode(PurePath(os.fsdecode(environ.get(b"SENDMAIL_NAME", b"sendmail"))).name)
    try:
        injection, environment = to_inject(program, arguments, environ)
    except Fatal as fatal:
        if fatal.text == replies.SENDMAIL_NO_LIST:
            _list_queue()
        sys.stderr.buffer.write(fatal.text)
        sys.stderr.buffer.flush()
        return fatal.code
    return inject(injection, environment)


if __name__ == "__main__":
    sys.exit(run([os.fsencode(argument) for argument in sys.argv[1:]], os.environb))
