"""forward(1) and condredirect(1): the message to other addresses, with its Delivered-To line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from qmail.control.paths import read_paths
from qmail.message.address import Address
from qmail.queue import exits
from qmail.queue.socket.client import SocketQueue
from services.programs.conditions import holds
from services.programs.program import PERMANENT, TEMPORARY, Ends, Program, fatal, of_system, read_pieces, variable

_STOP = 99


def forward(arguments: Sequence[bytes]) -> int:
    """Send to the addresses, from NEWSENDER."""
    return _send_on(b"forward", _wanted(b"forward", b"NEWSENDER"), arguments, 0)


def condredirect(arguments: Sequence[bytes]) -> int:
    """Send to another address, and no further line of the .qmail counts, if the program exits 0."""
    if len(arguments) < 2:
        raise Ends(PERMANENT, b"condredirect: usage: condredirect newaddress program [ arg ... ]")
    if not holds(b"condredirect", arguments[1:]):
        return 0
    # The program may have read it.
    os.lseek(0, 0, os.SEEK_SET)
    return _send_on(b"condredirect", _wanted(b"condredirect", b"SENDER"), arguments[:1], _STOP)


def _send_on(program: bytes, sender: bytes, recipients: Sequence[bytes], code: int) -> int:
    """Put DTLINE and the message on standard input into the queue. Raises Ends, with `code` where it is done."""
    number = _put(program, _message(program, _wanted(program, b"DTLINE")), sender, recipients)
    raise Ends(code, program + b": qp %d" % number)


def _wanted(program: bytes, name: bytes) -> bytes:
    """A variable that qmail-local sets (qmail-command(8)). Raises Ends where it is missing."""
    value = variable(name)
    if value is None:
        raise fatal(program, name + b" not set", PERMANENT)
    return value


def _message(program: bytes, first: bytes) -> Iterator[bytes]:
    yield first
    try:
        yield from read_pieces()
    except OSError as error:
        raise of_system(program, b"unable to read message", error) from error


def _put(program: bytes, message: Iterable[bytes], sender: bytes, recipients: Iterable[bytes]) -> int:
    """The number of the message that it became. Raises Ends in qmail.c's words."""
    queue = SocketQueue(read_paths(os.environ).run / "queue")
    try:
        queue.open()
    except OSError as error:
        raise of_system(program, b"unable to reach the queue", error) from error
    for piece in message:
        queue.write(piece)
    code = queue.finish(Address(sender), map(Address, recipients))
    if code:
        raise fatal(program, exits.words(code), PERMANENT if exits.is_permanent(code) else TEMPORARY)
    return queue.number


PROGRAMS: dict[str, Program] = {"forward": forward, "condredirect": condredirect}
