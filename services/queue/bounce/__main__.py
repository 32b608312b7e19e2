"""`python -m services.queue.bounce`: the bounce writer, a process of the queue role with rights of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from qmail.bus import subjects
from qmail.bus.connect import CredentialsError, connect, wait_for_streams
from qmail.control.files import Control, ControlError
from qmail.control.paths import read_paths
from qmail.log.notices import Notices
from qmail.role.loop import run
from services.queue.bounce.writer import BounceWriter

EX_CONFIG = 78


def _say(line: str) -> None:
    """The queue's log is another process's; standard error is the container's."""
    print(f"queue bounce writer: {line}", file=sys.stderr, flush=True)


async def main() -> None:
    """Answer until SIGTERM."""
    paths = read_paths(os.environ)
    notices = Notices(_say)
    control = Control(paths.control, notices)
    control.check("bounce")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bus = await connect("bounce", paths, os.environ, notices)
    await wait_for_streams(bus, (subjects.IN, subjects.HOLD, subjects.BODY))
    await BounceWriter(bus, control, os.getuid()).start()
    await stop.wait()
    await bus.close()


if __name__ == "__main__":
    try:
        run(main())
    except (ControlError, CredentialsError) as error:
        print(f"queue bounce writer: fatal: {error}", file=sys.stderr)
        sys.exit(EX_CONFIG if isinstance(error, ControlError) else 1)
