"""`python -m services.auth`: answers `ask.pass`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial

from qmail.bus.connect import CredentialsError, connect
from qmail.bus.subjects import WORKERS
from qmail.bus.talk import ask_pass
from qmail.control import Control, ControlError
from qmail.health import check_bus, keep_watch
from qmail.log import Log
from qmail.loop import run
from qmail.paths import Paths, read_paths
from services.auth.desk import Desk, make_desk
from services.auth.modules import ModuleError


async def serve(paths: Paths, desk: Desk, log: Log) -> None:
    """Answer until TERM or INT. Raises CredentialsError."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    bus = await connect("auth", paths, os.environ, log.notices)
    log.attach(bus.publish)
    await bus.subscribe(ask_pass.SUBJECT, partial(desk.take, bus), WORKERS)
    watch = asyncio.create_task(keep_watch(paths.run, lambda: check_bus(bus), notices=log.notices))
    await told.wait()
    watch.cancel()
    desk.close()
    log.close()
    await bus.close()


def main() -> int:
    """78: the configuration is wrong (EX_CONFIG); 111: something else is, and trying again may help."""
    paths = read_paths(os.environ)
    log = Log("auth")
    try:
        control = Control(paths.control, log.notices)
        control.check("auth")
        desk = make_desk(paths.auth, paths.users, control, log.line)
        run(serve(paths, desk, log))
    except (ModuleError, ControlError, CredentialsError, OSError) as error:
        print(f"auth: fatal: {error}", file=sys.stderr)
        return 78 if isinstance(error, ModuleError | ControlError) else 111
    return 0


if __name__ == "__main__":
    sys.exit(main())
