"""`python -m services.delivery.remote`: sends mail to other hosts until SIGTERM.

`qmailctl flush`, or SIGALRM, makes it forget which hosts did not answer (qmail-tcpok).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

from qmail.bus.connect import CredentialsError, connect
from qmail.bus.talk import flush
from qmail.control.files import Control, ControlError
from qmail.control.paths import Paths, read_paths
from qmail.control.routing import REMOTE
from qmail.control.table import DEFAULTDOMAIN
from qmail.log.log import Log
from qmail.role.health import check_bus, keep_watch
from qmail.role.health_names import names_check
from qmail.role.loop import run
from services.delivery.remote.attempt import World
from services.delivery.remote.deliver import RemoteDelivery, make_world
from services.delivery.worker import Worker

_ROLE = "delivery-remote"
# A far host that lets us wait may not keep the whole deployment from ending: what has not sent its final dot is broken
# off after this, without any doubt whether it has arrived ...
_PATIENCE_SECONDS = 15.0
# ... and what has sent it, after this; the next attempt may then be a duplicate, as after a crash.
_GRACE_SECONDS = 90.0


async def _serve(paths: Paths, world: World, log: Log, started: asyncio.Event, stop: asyncio.Event) -> None:
    bus = await connect(_ROLE, paths, os.environ, log.notices)
    log.attach(bus.publish)
    delivery = RemoteDelivery(world)
    asyncio.get_running_loop().add_signal_handler(signal.SIGALRM, delivery.flush)
    await flush.hear(bus, delivery.flush)
    worker = Worker(bus, REMOTE, delivery)
    started.set()
    await worker.start()
    domain = world.control.get(DEFAULTDOMAIN).decode("latin-1")
    watch = asyncio.create_task(
        keep_watch(paths.run, lambda: check_bus(bus), also=names_check(domain), notices=log.notices)
    )
    await stop.wait()
    asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, delivery.break_off)
    await worker.stop(_GRACE_SECONDS)
    watch.cancel()
    log.close()
    await bus.close()


async def _main(paths: Paths, world: World, log: Log) -> None:
    started, stop = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(_serve(paths, world, log, started, stop))

    def end() -> None:
        stop.set()
        if not started.is_set():
            serving.cancel()  # still waiting for the bus: nothing was begun

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main() -> int:
    """Run the role; the exit code: 78 for a wrong setting, 111 where trying again may help."""
    paths = read_paths(os.environ)
    log = Log("delivery-remote")
    control = Control(paths.control, log.notices)
    try:
        control.check(_ROLE)
        world = make_world(control, os.environ)
    except ControlError as error:
        print(f"{_ROLE}: fatal: {error}", file=sys.stderr)
        return 78
    except ValueError as error:
        print(f"{_ROLE}: fatal: DNS_SERVER: {error}; expected address or address:port", file=sys.stderr)
        return 78
    try:
        run(_main(paths, world, log))
    except (CredentialsError, OSError) as error:
        print(f"{_ROLE}: fatal: {error}", file=sys.stderr)
        return 111
    return 0


if __name__ == "__main__":
    sys.exit(main())
