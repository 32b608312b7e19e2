"""`python -m services.inject.sendmail`: sendmail's command line over qmail-inject (qmail's sendmail.c)."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath

from qmail.control.files import Control, ControlError
from qmail.control.paths import read_paths
from services.inject import replies
from services.inject.__main__ import run as inject
from services.inject.options import Options
from services.inject.quiet import ends_quietly
from services.inject.replies import PERMANENT, Fatal

_ALONE = b"vimtxGUn"
_TAKES = b"efpoBFbrNRVOLhXC"
# -q with its interval; and an optional argument in the same word on Sony's NEWS-OS, as qmail's sendmail has them.
_ATTACHED = b"qEJ"
# The options of qmail's own, for who wants it to the letter (control/extensions).
_ALONE_OF_QMAIL = b"vimtx"
_TAKES_OF_QMAIL = b"efpoBFb"
_ATTACHED_OF_QMAIL = b"EJ"
_SENDERS = b"fr"
_NOTIFY = re.compile(rb"never|(success|failure|delay)(,(success|failure|delay))*", re.IGNORECASE)
_RETURN = re.compile(rb"full|hdrs", re.IGNORECASE)


def to_inject(
    program: bytes, arguments: Sequence[bytes], environ: Mapping[bytes, bytes], *, exact: bool = False
) -> tuple[list[bytes], dict[bytes, bytes]]:
    """qmail-inject's arguments and environment for sendmail's. Raises Fatal.

    What other sendmails take and this house has no use for (-B, -C, -G, -h, -L, -n, -O, -U, -X, -e, -i, -m, -o, -v) is
    taken; so are -N, -R and -V, which ask for reports that nobody sends here (RFC 3461). exact: the options of qmail's
    sendmail alone, its sender as it stands."""
    environment = dict(environ)
    sender: list[bytes] = []
    strategy = b"-a"
    options = Options(
        program,
        arguments,
        alone=_ALONE_OF_QMAIL if exact else _ALONE,
        takes=_TAKES_OF_QMAIL if exact else _TAKES,
        attached=_ATTACHED_OF_QMAIL if exact else _ATTACHED,
        usage=replies.SENDMAIL_USAGE,
    )
    for letter, argument in options:
        if letter == b"t":
            strategy = b"-H"
        elif letter in _SENDERS:
            sender = [b"-f", argument if exact else _without_brackets(argument)]
        elif letter == b"F":
            environment[b"MAILNAME"] = argument
        else:
            _check(letter, argument)
    if program == b"mailq":
        raise Fatal(PERMANENT, replies.SENDMAIL_NO_LIST)
    if program == b"newaliases":
        raise Fatal(PERMANENT, replies.SENDMAIL_NO_ALIASES)
    return [strategy, *sender, b"--", *options.rest], environment


def _without_brackets(sender: bytes) -> bytes:
    """`<>` is the null sender, `<a@b>` is a@b (RFC 5321 4.1.2, Reverse-path)."""
    sender = sender.strip()
    return sender[1:-1] if sender.startswith(b"<") and sender.endswith(b">") else sender


def _check(letter: bytes, argument: bytes) -> None:
    """Refuse what asks for something else than to send a message."""
    if letter == b"b" and argument[:1] != b"m":
        refusals = {b"p": replies.SENDMAIL_NO_LIST, b"s": replies.SENDMAIL_NO_SMTP}
        raise Fatal(PERMANENT, refusals.get(argument[:1], replies.SENDMAIL_USAGE))
    if letter == b"q":
        raise Fatal(PERMANENT, replies.SENDMAIL_NO_FLUSH)
    wanted = {b"N": _NOTIFY, b"R": _RETURN}.get(letter)
    if wanted is not None and not wanted.fullmatch(argument):
        raise Fatal(
            PERMANENT, b"sendmail: invalid argument -- " + letter + b" " + argument + b"\n" + replies.SENDMAIL_USAGE
        )


# What a refusal means where the deployment has a program for it.
_INSTEAD = {
    replies.SENDMAIL_NO_LIST: ("qmail-qread",),
    replies.SENDMAIL_NO_FLUSH: ("qmailctl", "doqueue"),
}


def _become(program: str, *arguments: str) -> None:
    """Become the program where it is; return where it is not, as in a container that delivers."""
    path = read_paths(os.environ).control.parent / "bin" / program
    with contextlib.suppress(OSError):
        os.execv(path, [str(path), *arguments])


def _with_newlines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """CRLF at a line's end is a newline: PHP 8 and programs of other systems end their lines so."""
    for line in lines:
        yield line[:-2] + b"\n" if line.endswith(b"\r\n") else line


def _is_exact() -> bool:
    with contextlib.suppress(ControlError):
        return Control(read_paths(os.environ).control).exact()
    return False  # qmail-inject says what is wrong with the file, if it needs it


def run(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """sendmail, mailq or newaliases, whichever name called (SENDMAIL_NAME, set by the wrappers); the exit code."""
    program = os.fsencode(PurePath(os.fsdecode(environ.get(b"SENDMAIL_NAME", b"sendmail"))).name)
    try:
        injection, environment = to_inject(program, arguments, environ, exact=_is_exact())
    except Fatal as fatal:
        if fatal.text in _INSTEAD:
            _become(*_INSTEAD[fatal.text])
        return fatal.tell()
    return inject(injection, environment, _with_newlines(sys.stdin.buffer))


if __name__ == "__main__":
    sys.exit(ends_quietly(lambda: run([os.fsencode(argument) for argument in sys.argv[1:]], os.environb)))
