"""qmail-inject's command line: options, then the message from standard input to the queue or to standard output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from qmail.control.files import Control
from qmail.message.address import NULL_SENDER, Address
from qmail.queue.socket.client import Queue
from services.inject import replies
from services.inject.injection import Injection, Request, Sink, rewrite_argument
from services.inject.options import Options
from services.inject.settings import Settings, read_settings
from services.inject.tokens import ParseError

_PROGRAM = b"qmail-inject"
_ARGUMENTS, _HEADER, _BOTH, _DEFAULT = b"a", b"h", b"H", b"A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything that the command touches."""

    environ: Mapping[bytes, bytes]
    control: Control
    stdin: Iterable[bytes]
    stdout: BinaryIO
    queue: Queue


def inject(arguments: Sequence[bytes], around: Surroundings) -> None:
    """Run the command. Raises Fatal with its exit code and text."""
    settings = read_settings(around.environ, around.control)
    strategy, to_queue, sender = _DEFAULT, True, None
    options = Options(_PROGRAM, arguments, alone=b"aAhHnN", takes=b"f")
    for letter, argument in options:
        if letter in (b"n", b"N"):
            to_queue = letter == b"N"
        elif letter == b"f":
            sender = _read_sender(argument, settings)
        else:
            strategy = letter
    if strategy == _DEFAULT:
        strategy = _ARGUMENTS if options.rest else _HEADER
    names = () if strategy == _HEADER else options.rest
    request = Request(
        recipients=tuple(_read_recipient(name, settings) for name in names),
        sender=sender,
        from_header=strategy != _ARGUMENTS,
    )
    sink: Sink = _ToQueue(around.queue) if to_queue else _ToOutput(around.stdout)
    injection = Injection(settings, request, sink)
    try:
        injection.read(around.stdin)
    except OSError:
        replies.read_error()
    if to_queue:
        code = around.queue.finish(injection.sender or NULL_SENDER, injection.recipients)
        if code:
            replies.refuse_as_queue_did(code)


def _read_sender(argument: bytes, settings: Settings) -> Address:
    try:
        return rewrite_argument(argument, settings)
    except ParseError:
        replies.unparsable_line(Address(argument).quoted())


def _read_recipient(argument: bytes, settings: Settings) -> Address:
    try:
        return rewrite_argument(argument, settings)
    except ParseError:
        replies.unparsable_address(argument)


class _ToOutput:
    """-n: the message as it would be queued, Return-Path in front."""

    def __init__(self, stdout: BinaryIO) -> None:
        self._stdout = stdout

    def open(self, sender: Address) -> None:
        shown = sender.to_nul().quoted()
        self._stdout.write(b"Return-Path: <" + shown + b">\n")

    def write(self, data: bytes) -> None:
        self._stdout.write(data)


class _ToQueue:
    """The message to the queue's socket; the envelope follows at the end."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def open(self, _sender: Address) -> None:
        try:
            self._queue.open()
        except OSError:
            replies.no_queue()

    def write(self, data: bytes) -> None:
        self._queue.write(data)
