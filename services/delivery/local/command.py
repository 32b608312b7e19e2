"""qmail-local as a command: `python -m services.delivery.local.command [-nN] user homedir local dash ext domain
sender aliasempty`, the message on standard input. As whoever calls it. See qmail-local(8).
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

from qmail.maildir.names import unique_name
from qmail.message.address import Address
from services.delivery.local import replies
from services.delivery.local.home import check_home, find_dot_qmail, open_home
from services.delivery.local.job import Job, delivered_to_line
from services.delivery.local.mbox import MailboxLocked
from services.delivery.local.message import FileMessage
from services.delivery.local.plan import Act, instructions
from services.delivery.local.program import execute, goes_on
from services.delivery.local.qmail_queue import submit
from services.delivery.local.refusal import Refusal, temporary
from services.delivery.local.run import Run
from services.delivery.local.steps import alone
from services.delivery.outcome import Kind

_EXITS: Final = {Kind.SUCCESS: 0, Kind.FAILURE: 100, Kind.DEFERRAL: 111}
_ARGUMENTS: Final = 8
_LOCK_SECONDS: Final = 30.0
_LOCK_RETRY_SECONDS: Final = 0.1


def main(arguments: Sequence[bytes]) -> int:
    """Deliver, or with -n say what would be done; the exit code."""
    os.umask(0o077)
    do, rest = _options(arguments)
    if len(rest) != _ARGUMENTS or not rest[1].startswith(b"/"):
        _usage()
    user, home, local, dash, ext, host, sender, default_delivery = rest
    job = Job(
        user=user,
        home=home,
        recipient=Address.join(local, host),
        dash=dash,
        ext=ext,
        sender=Address(sender),
        default_delivery=default_delivery,
    )
    try:
        (_deliver if do else _describe)(job)
    except Refusal as refusal:
        _write(2, refusal.text)
        return _EXITS[refusal.kind]
    return 0


def _options(arguments: Sequence[bytes]) -> tuple[bool, list[bytes]]:
    """getopt(3) for `nN`: whether to deliver, and the other arguments."""
    do, rest = True, list(arguments)
    while rest and rest[0].startswith(b"-") and rest[0] != b"-":
        option = rest.pop(0)
        if option == b"--":
            break
        for at in range(1, len(option)):
            letter = option[at : at + 1]
            if letter not in (b"n", b"N"):
                _write(2, b"qmail-local: illegal option -- " + letter + b"\n")
                _usage()
            do = letter == b"N"
    return do, rest


def _usage() -> NoReturn:
    _write(2, replies.USAGE)
    raise SystemExit(100)


def _write(fd: int, text: bytes) -> None:
    while text:
        text = text[os.write(fd, text) :]


def _describe(job: Job) -> None:
    home = open_home(job.home)
    if check_home(home, job.home):
        _write(2, replies.HOME_STICKY_WARNING + b"\n")
    found = find_dot_qmail(home, job)
    done = dict.fromkeys(Act, 0)
    for step in instructions(found.content, forward_only=found.executable):
        _write(1, step.act.value + b" " + step.text + b"\n")
        done[step.act] += 1
    _write(1, replies.did(done[Act.MBOX] + done[Act.MAILDIR], done[Act.FORWARD], done[Act.PROGRAM]))


def _deliver(job: Job) -> None:
    now = time.time()
    host = os.fsencode(socket.gethostname())
    message = _standard_input()
    run = Run(job, message, lambda copy: unique_name(int(now * 1000), os.getpid(), 0, host, copy), now)
    command = _first(run)
    while command is not None:
        if not goes_on(_program(run, command)):
            run.stop()
        command = _next(run)
    number = submit(_forwarded(job, message), run.new_sender, run.forwards) if run.forwards else 0
    _write(1, run.note() + (replies.queued(number) if run.forwards else b""))


def _standard_input() -> FileMessage:
    """The message in a nameless file, since it is read more than once."""
    with tempfile.TemporaryFile(buffering=0) as file, open(0, "rb", buffering=0, closefd=False) as source:
        shutil.copyfileobj(source, file)
        return FileMessage(os.dup(file.fileno()))


def _forwarded(job: Job, message: FileMessage) -> Iterator[bytes]:
    yield delivered_to_line(job)
    yield from message.pieces()


def _first(run: Run) -> bytes | None:
    try:
        return alone(run.begin())
    except MailboxLocked:
        return _next(run)


def _next(run: Run) -> bytes | None:
    give_up = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return alone(run.advance())
        except MailboxLocked as locked:
            if time.monotonic() > give_up:
                raise temporary(replies.mbox_locked(locked.path)) from locked
            time.sleep(_LOCK_RETRY_SECONDS)


def _program(run: Run, command: bytes) -> int:
    variables, message = run.program()
    pid = os.fork()
    if pid == 0:
        os.dup2(message, 0)
        execute(command, run.job.home, {**os.environb, **variables})
    os.close(message)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main([os.fsencode(argument) for argument in sys.argv[1:]]))
