"""Forwarding through the program qmail-queue, for qmail-local as a command. See qmail-queue(8), qmail.c."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from typing import Final

from qmail.message.address import Address
from qmail.queue import exits
from qmail.queue.socket.wire import render_envelope
from services.delivery.local import replies
from services.delivery.local.message import write_all
from services.delivery.local.refusal import permanent, temporary

_PROGRAM: Final = b"/var/qmail/bin/qmail-queue"


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
        whole = _feed(envelope, (render_envelope(sender, recipients),))
    else:
        os.close(envelope)
    _, status = os.waitpid(pid, 0)
    _judge(os.waitstatus_to_exitcode(status), whole=whole)
    return pid


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
        os._exit(exits.UNABLE_TO_EXEC)


def _judge(exit_code: int, *, whole: bool) -> None:
    if exit_code == 0 and whole:
        return
    code = exit_code or exits.READ_ERROR
    text = replies.not_forwarded(exits.words(code))
    raise permanent(text) if exits.is_permanent(code) else temporary(text)
