"""`python -m services.delivery.local`: takes deliveries and questions about recipients until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Final

from qmail.accounts.assign import Accounts, AssignError
from qmail.accounts.identity import ActingPool, IdentityError
from qmail.bus import subjects
from qmail.bus.connect import CredentialsError, connect, wait_for_streams
from qmail.bus.nodes import NodeLease
from qmail.bus.talk import ask_rcpt
from qmail.control.files import Control, ControlError
from qmail.control.paths import Paths, read_paths
from qmail.control.routing import LOCAL
from qmail.control.table import DATABYTES
from qmail.log.log import Log
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from qmail.queue.socket.server import serve_socket
from qmail.role.health import both, check_bus, keep_watch
from qmail.role.loop import run
from services.delivery.local.announce import Announcer
from services.delivery.local.answer import Answerer
from services.delivery.local.deliver import LocalDelivery
from services.delivery.local.forward import Forwarder
from services.delivery.local.lookup import Lookup
from services.delivery.local.settings import Settings, SettingsError, read_settings
from services.delivery.local.spawn import Spawner
from services.delivery.worker import Worker

_ROLE: Final = "delivery-local"
EX_CONFIG: Final = 78
#: Within compose's stop_grace_period of 5 minutes.
_GRACE_SECONDS: Final = 280.0
_STREAMS: Final = (subjects.IN, subjects.BODY)


async def _open_door(paths: Paths, submitter: Submitter, accounts: Accounts, control: Control) -> asyncio.Server:
    """The socket through which users' programs put mail."""
    alias = accounts.named(b"alias")
    return await serve_socket(
        paths.run / "queue",
        submitter,
        _ROLE,
        max_bytes=lambda: control.get(DATABYTES),
        exact=control.exact,
        alias_uid=alias.uid if alias is not None else None,
    )


async def _serve(
    paths: Paths, settings: Settings, spawner: Spawner, started: asyncio.Event, stop: asyncio.Event
) -> None:
    log = Log("delivery-local")
    control = Control(paths.control, log.notices)
    control.check(_ROLE)
    bus = await connect(_ROLE, paths, os.environ, log.notices)
    log.attach(bus.publish)
    await wait_for_streams(bus, _STREAMS)
    ids = IdSource()
    node = NodeLease(bus, ids)
    await node.claim()
    accounts = Accounts(paths.users / "assign")
    lookup, submitter = Lookup(accounts, control), Submitter(bus, ids)
    pool = ActingPool(per_user=settings.per_user)
    delivery = LocalDelivery(
        lookup=lookup,
        pool=pool,
        spawner=spawner,
        forwarder=Forwarder(submitter, exact=control.exact),
        announcer=Announcer(bus.publish),
        per_user=settings.per_user,
        base_environment=settings.program_environment,
    )
    await ask_rcpt.answer(bus, Answerer(lookup, pool).look_up)
    door = await _open_door(paths, submitter, accounts, control)
    worker = Worker(bus, LOCAL, delivery)
    started.set()
    await worker.start()
    watch = asyncio.create_task(keep_watch(paths.run, both(lambda: check_bus(bus), pool.answers), notices=log.notices))
    await stop.wait()
    await worker.stop(_GRACE_SECONDS)
    watch.cancel()
    door.close()
    await node.release()
    log.close()
    await bus.close()
    pool.close()


async def _main(spawner: Spawner) -> None:
    paths, settings = read_paths(os.environ), read_settings(os.environ)
    started, stop = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(_serve(paths, settings, spawner, started, stop))

    def end() -> None:
        stop.set()
        if not started.is_set():
            serving.cancel()  # still waiting for the bus: nothing was begun

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main() -> int:
    """Run the role; the exit code: 78 for a bad control file, 1 for what else it cannot start with."""
    os.umask(0o077)
    # Before any thread is started.
    spawner = Spawner()
    try:
        run(_main(spawner))
    except (SettingsError, IdentityError, CredentialsError, AssignError) as error:
        print(f"{_ROLE}: {error}", file=sys.stderr)
        return 1
    except ControlError as error:
        print(f"{_ROLE}: fatal: {error}", file=sys.stderr)
        return EX_CONFIG
    finally:
        spawner.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
