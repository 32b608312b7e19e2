"""`python -m services.log`: keeps the log directories, as qmaill's multilog does (multilog(8))."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from qmail.bus.connect import CredentialsError, connect
from qmail.control.paths import Paths, read_paths
from qmail.log.log import Log
from qmail.role.health import check_bus, keep_watch
from qmail.role.loop import run
from services.log.directories import LogDirectories
from services.log.reader import Reader


async def serve(paths: Paths, log: Log) -> None:
    """Read until TERM or INT. Raises CredentialsError."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    bus = await connect("log", paths, os.environ, log.notices)
    log.attach(bus.publish)
    logs = LogDirectories(paths.log)
    tasks = {
        asyncio.create_task(told.wait()),
        asyncio.create_task(Reader(bus, logs, log.notices).run()),
        asyncio.create_task(keep_watch(paths.run, lambda: check_bus(bus), notices=log.notices)),
    }
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    logs.close()
    log.close()
    await bus.close()
    for task in done:
        task.result()


def main() -> int:
    """111: something is wrong, and trying again may help."""
    log = Log("log")
    try:
        run(serve(read_paths(os.environ), log))
    except (CredentialsError, OSError) as error:
        print(f"log: fatal: {error}", file=sys.stderr)
        return 111
    return 0


if __name__ == "__main__":
    sys.exit(main())
