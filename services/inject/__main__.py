"""`python -m services.inject`: qmail-inject(8). A message comes from standard input and goes to the queue."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence

from qmail.control.files import Control
from qmail.control.paths import read_paths
from qmail.queue.socket.client import SocketQueue
from services.inject.command import Surroundings, inject
from services.inject.quiet import ends_quietly
from services.inject.replies import Fatal


def run(arguments: Sequence[bytes], environ: Mapping[bytes, bytes], message: Iterable[bytes] | None = None) -> int:
    """Inject the lines of a message, those of standard input where none are given; the exit code."""
    paths = read_paths(os.environ)
    around = Surroundings(
        environ=environ,
        control=Control(paths.control),
        stdin=sys.stdin.buffer if message is None else message,
        stdout=sys.stdout.buffer,
        queue=SocketQueue(paths.run / "queue"),
    )
    try:
        inject(arguments, around)
        sys.stdout.buffer.flush()
    except Fatal as fatal:
        return fatal.tell()
    return 0


if __name__ == "__main__":
    sys.exit(ends_quietly(lambda: run([os.fsencode(argument) for argument in sys.argv[1:]], os.environb)))
