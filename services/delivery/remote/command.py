"""qmail-remote as a command: `python -m services.delivery.remote.command HOST SENDER RECIPIENT...`.

The message is standard input; the report goes to standard output, each part followed by NUL. The exit code
is 0 always: the report tells (qmail-remote(8)).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from typing import BinaryIO

from qmail.control.files import Control
from qmail.control.paths import read_paths
from qmail.message.address import Address
from services.delivery.remote import replies
from services.delivery.remote.attempt import Message, World, attempt
from services.delivery.remote.deliver import make_world
from services.delivery.remote.report import render_report

_PIECE_BYTES = 64 * 1024


async def report(world: World, arguments: Sequence[bytes], message: Message) -> bytes:
    """What qmail-remote prints for these arguments."""
    if len(arguments) < 3:
        return render_report([replies.USAGE])
    host, sender, *recipients = arguments
    parts = await attempt(world, host, Address(sender), list(map(Address, recipients)), message)
    world.kept.close()
    return render_report(parts)


def read_message(file: BinaryIO, size_bytes: int) -> Message:
    """A message from an open file, read in pieces and again from its start for another connection."""

    async def chunks() -> AsyncIterator[bytes]:
        if file.seekable():
            file.seek(0)
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece

    return Message(chunks=chunks, size_bytes=size_bytes)


def main() -> int:
    """Run once over the deployment's control files."""
    world = make_world(Control(read_paths(os.environ).control))
    arguments = [os.fsencode(argument) for argument in sys.argv[1:]]
    size_bytes = os.fstat(sys.stdin.fileno()).st_size
    message = read_message(sys.stdin.buffer, size_bytes)
    sys.stdout.buffer.write(asyncio.run(report(world, arguments, message)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
