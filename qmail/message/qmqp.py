"""QMQP, the Quick Mail Queueing Protocol: one netstring with message, sender and recipients, one with the answer. Pure.

Source: D. J. Bernstein, QMQP, http://cr.yp.to/proto/qmqp.html; qmail-qmqpc(8), qmail-qmqpd(8).
"""

from __future__ import annotations

from collections.abc import Sequence

PORT = 628
#: An answer has at most so many bytes of text.
MAX_ANSWER_BYTES = 1000
_MAX_HEAD_BYTES = len(str(MAX_ANSWER_BYTES)) + 1
ACCEPTED, DEFERRED, REFUSED = b"K", b"Z", b"D"


class QmqpError(ValueError):
    """What came is not QMQP."""


def netstring(data: bytes) -> bytes:
    """`<length>:<bytes>,`."""
    return b"%d:%s," % (len(data), data)


def render_request(size_bytes: int, sender: bytes, recipients: Sequence[bytes]) -> tuple[bytes, bytes]:
    """What stands before and after a message of so many bytes."""
    head = b"%d:" % size_bytes
    tail = b"," + netstring(sender) + b"".join(map(netstring, recipients))
    return b"%d:" % (len(head) + size_bytes + len(tail)) + head, tail + b","


def parse_answer(received: bytes) -> tuple[bytes, bytes] | None:
    """The server's letter and text; None where more must come. Raises QmqpError."""
    head, colon, rest = received.partition(b":")
    if not colon and len(head) < _MAX_HEAD_BYTES and (head.isdigit() or not head):
        return None
    if not colon or not head.isdigit() or len(head) >= _MAX_HEAD_BYTES or not 0 < int(head) <= MAX_ANSWER_BYTES:
        raise QmqpError("the answer is no netstring of a sensible length")
    length = int(head)
    if len(rest) <= length:
        return None
    letter, text = rest[:1], rest[1:length]
    if rest[length : length + 1] != b"," or letter not in (ACCEPTED, DEFERRED, REFUSED):
        raise QmqpError("the answer is none of QMQP's")
    return letter, text
