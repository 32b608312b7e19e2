"""`python -m services.auth`: answers `ask.pass`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from qmail.bus.connect import CredentialsError, connect, read_credentials
from qmail.bus.talk import ask_pass
from qmail.bus.talk.messages import WORKERS
from qmail.control.files import Control, ControlError
from qmail.control.paths import Paths, read_paths
from qmail.control.table import AUTHMODULELIST
from qmail.log.log import Log
from qmail.role.health import check_bus, keep_watch
from qmail.role.loop import run
from services.auth.desk import Desk
from services.auth.files import Files
from services.auth.hashes import Hashes
from services.auth.known import KnownNetworks
from services.auth.modules import ModuleError, read_modules
from services.auth.verifications import CONCURRENT_VERIFICATIONS


async def serve(paths: Paths, log: Log) -> None:
    """Answer until TERM or INT. Raises CredentialsError, ModuleError, ControlError."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    # Before waiting for the bus: what is wrong with the configuration is said at once.
    control = Control(paths.control, log.notices)
    control.check("auth")
    modules = read_modules(control.get(AUTHMODULELIST), Hashes(paths.auth / "passwd", log.notices))
    _, secret = read_credentials(paths, "auth")
    bus = await connect("auth", paths, os.environ, log.notices)
    log.attach(bus.publish)
    files, known = Files(paths.users / "assign", control, log.notices), KnownNetworks(bus, secret.encode())
    threads = ThreadPoolExecutor(CONCURRENT_VERIFICATIONS, thread_name_prefix="verify")
    desk = Desk(files, modules, control, log.notices, known, threads)
    await desk.slowing.join(bus, WORKERS)
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
        run(serve(paths, log))
    except (ModuleError, ControlError, CredentialsError, OSError) as error:
        print(f"auth: fatal: {error}", file=sys.stderr)
        return 78 if isinstance(error, ModuleError | ControlError) else 111
    return 0


if __name__ == "__main__":
    sys.exit(main())
