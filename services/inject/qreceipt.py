"""`python -m services.inject.qreceipt`: qreceipt(1), the notice that a message asks for of its delivery."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from qmail.control.paths import read_paths
from qmail.message.address import DOUBLE_BOUNCE_SENDER, NULL_SENDER, Address
from qmail.queue import exits
from qmail.queue.socket.client import Queue, SocketQueue
from services.inject.addresses import AddressTokens, rewrite_list
from services.inject.fields import Field, known_name, split_message
from services.inject.replies import PERMANENT, TEMPORARY, Fatal
from services.inject.tokens import ParseError, parse_tokens, unquote_tokens

_USAGE = b"qreceipt: usage: qreceipt deliveryaddress\n"
_TEXT = (
    b"From: DELIVERY NOTICE SYSTEM <%s>\nTo: <%s>\nSubject: success notice\n\n"
    b"Hi! This is the qreceipt program. Your message was delivered to the\n"
    b"following address: %s. Thanks for asking.\n"
)


def receipt(arguments: Sequence[bytes], environ: Mapping[bytes, bytes], message: Iterable[bytes], queue: Queue) -> None:
    """Send the notice to SENDER if the message asks for one about the address. Raises Fatal, OSError."""
    sender = environ.get(b"SENDER")
    if not arguments or sender is None:
        raise Fatal(PERMANENT, _USAGE)
    asked, message_id = False, b""
    for line in _fields(message):
        name = known_name(line)
        if name == b"message-id":
            message_id = line
        elif name == b"notice-requested-upon-delivery-to":
            asked = asked or arguments[0] in _addresses(line)
    back = Address(sender)
    if asked and back not in (NULL_SENDER, DOUBLE_BOUNCE_SENDER):
        _send(queue, back, arguments[0], message_id)


def _fields(message: Iterable[bytes]) -> Iterator[bytes]:
    for part in split_message(message):
        if not isinstance(part, Field):
            return
        yield part.line


def _addresses(line: bytes) -> list[bytes]:
    found: list[bytes] = []

    def take(address: AddressTokens) -> AddressTokens:
        found.append(unquote_tokens(address[::-1]))
        return address

    try:
        rewrite_list(parse_tokens(line), take)
    except ParseError:
        raise Fatal(PERMANENT, b"qreceipt: fatal: unable to parse this: " + line) from None
    return found


def _send(queue: Queue, back: Address, target: bytes, message_id: bytes) -> None:
    try:
        queue.open()
    except OSError:
        raise Fatal(TEMPORARY, b"qreceipt: fatal: unable to fork\n") from None
    shown = back.quoted()
    queue.write(_TEXT % (shown, shown, target) + (b"Your " + message_id if message_id else b""))
    code = queue.finish(NULL_SENDER, [back])
    if code:
        permanent = exits.is_permanent(code)
        kind = b"permanent" if permanent else b"temporary"
        raise Fatal(PERMANENT if permanent else TEMPORARY, b"qreceipt: fatal: " + kind + b" qmail-queue error\n")


def main() -> int:
    """The exit code."""
    try:
        queue = SocketQueue(read_paths(os.environ).run / "queue")
        receipt([os.fsencode(argument) for argument in sys.argv[1:]], os.environb, sys.stdin.buffer, queue)
    except Fatal as fatal:
        return fatal.tell()
    except OSError:
        return Fatal(TEMPORARY, b"qreceipt: fatal: read error\n").tell()
    return 0


if __name__ == "__main__":
    sys.exit(main())
