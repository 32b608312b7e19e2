"""`python -m services.inject.qmail_queue`: qmail-queue(8), the message on fd 0, the envelope on fd 1."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from qmail.control.paths import read_paths
from qmail.queue.exits import CRASHED, INTERNAL_BUG, NO_CONNECTION, READ_ERROR
from qmail.queue.socket.client import SocketQueue

_PIECE_BYTES = 64 * 1024


def read_all(descriptor: int) -> Iterator[bytes]:
    """A descriptor's bytes to its end. Raises OSError."""
    while piece := os.read(descriptor, _PIECE_BYTES):
        yield piece


def main() -> int:
    """Put one message; qmail-queue's exit codes."""
    queue = SocketQueue(read_paths(os.environ).run / "queue")
    try:
        queue.open()
    except OSError:
        return NO_CONNECTION
    try:
        for piece in read_all(0):
            queue.write(piece)
        code = queue.finish_raw(read_all(1))
    except OSError:
        return READ_ERROR
    return INTERNAL_BUG if code == CRASHED else code


if __name__ == "__main__":
    sys.exit(main())
