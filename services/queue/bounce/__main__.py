"""`python -m services.queue.bounce`: the bounce writer, a process of the queue role with rights of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from qmail.bus import subjects
from qmail.bus.connect import CredentialsError, connect, wait_for_streams
from qmail.control import Control, ControlError
from qmail.loop import run
from qmail.paths import read_paths
from services.queue.bounce.text import read_names
from services.queue.bounce.writer import BounceWriter


async def main() -> None:
    """Answer until SIGTERM."""
    paths = read_paths(os.environ)
    control = Control(paths.control)
    read_names(control)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bus = await connect("bounce", paths, os.environ)
    await wait_for_streams(bus, (subjects.IN, subjects.HOLD, subjects.BODY))
    await BounceWriter(bus, control, os.getuid()).start()
    await stop.wait()
    await bus.close()


if __name__ == "__main__":
    try:
        run(main())
    except (ControlError, CredentialsError) as error:
        sys.exit(f"queue bounce writer: {error}")
