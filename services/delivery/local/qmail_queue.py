"""Forwarding through the program qmail-queue, for qmail-local as a command. See qmail-queue(8), qmail.c."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from typing import Final

from qmail.message.address import Address
from services.delivery.local import replies
from services.delivery.local.message import write_all
from services.delivery.local.refusal import permanent, temporary

_PROGRAM: Final = b"/var/qmail/bin/qmail-queue"
_PERMANENT_EXITS: Final = range(11, 41)
_NO_ADDRESS: Final = 115
_READ_ERROR: Final = 54
_UNABLE_TO_EXEC: Final = 120


def submit(pieces: Iterable[bytes], sender: Address, recipients: Sequence[Address]) -> int:
    """Give a message to $QMAILQUEUE; the process id of the program, which is the message's `qp`.

    Raises Refusal in the words of qmail.c.
    """
    message_reader, message = os.pipe()
    envelope_reader, envelope = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_queue(message_reader, envelope_reader)
    os.close(message_reader)
    os.close(envelope_reader)
    whole = _feed(message, pieces)
    if whole:
        whole = _feed(envelope, (_envelope(sender, recipients),))
    else:
        os.close(envelope)
    _, status = os.waitpid(pid, 0)
    _judge(os.waitstatus_to_exitcode(status), whole)
    return pid


def _envelope(sender: Address, recipients: Sequence[Address]) -> bytes:
    return b"F" + sender.raw + b"\0" + b"".join(b"T" + r.raw + b"\0" for r in recipients) + b"\0"


def _feed(fd: int, pieces: Iterable[bytes]) -> bool:
    """Write to the program and close; False if it would not read to the end."""
    try:
        for piece in pieces:
            write_all(fd, piece)
    except BrokenPipeError:
        return False
    finally:
        os.close(fd)
    return True


def _be_queue(message: int, envelope: int) -> None:
    try:
        os.dup2(message, 0)
        os.dup2(envelope, 1)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        program = os.environb.get(b"QMAILQUEUE", _PROGRAM)
        os.execv(program, [program])
    except OSError:
        os._exit(_UNABLE_TO_EXEC)


def _judge(exit_code: int, whole: bool) -> None:
    if exit_code == 0 and whole:
        return
    if exit_code < 0:
        raise temporary(replies.not_forwarded(replies.QUEUE_CRASHED))
    code = exit_code or _READ_ERROR
    is_permanent = code in _PERMANENT_EXITS or code == _NO_ADDRESS
    other = replies.QUEUE_REFUSED if is_permanent else replies.QUEUE_DOWN
    text = replies.not_forwarded(replies.QUEUE_EXITS.get(code, other))
    raise permanent(text) if is_permanent else temporary(text)
