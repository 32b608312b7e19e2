"""The admin role: first start, streams; it stays for `qmailctl` and a shell."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial

from qmail.bus import subjects
from qmail.bus.connect import connect
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.nodes import NodeLease
from qmail.control.files import Control, ControlError
from qmail.control.paths import Paths
from qmail.control.table import DATABYTES, QUEUEBYTES
from qmail.log.log import Log
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from qmail.queue.socket.server import serve_socket
from qmail.role.health import keep_watch
from services.admin.bus.losses import Losses
from services.admin.bus.store import Store
from services.admin.bus.store_watch import StoreWatch
from services.admin.bus.stream_keeper import StreamKeeper
from services.admin.bus.streams import read_definitions
from services.admin.directories import Places, read_places
from services.admin.install import Installer
from services.admin.rights import read_rights
from services.admin.setup.first_start import first_start

EX_CONFIG = 78
# The streams of which nothing may be lost.
TRUTH = [name for name in read_definitions()["stream"] if name != subjects.EVENTS]


def main() -> int:
    """Exit code 0 after TERM, 78 for a setting or file that must be set right first."""
    places = read_places(os.environ)
    try:
        first_start(os.environ)
    except ValueError as error:
        print(f"admin: {error}", file=sys.stderr)
        return EX_CONFIG
    places.paths.run.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(places))
    return 0


async def _serve(places: Places) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    alive = asyncio.create_task(keep_watch(places.paths.run, _first_start_is_done))
    work = asyncio.create_task(_work(places))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({alive, work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (alive, work):
        task.cancel()
    for result in await asyncio.gather(alive, work, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def _first_start_is_done() -> None:
    """All that the others wait for: the bus itself starts only after admin."""


async def _work(places: Places) -> None:
    paths, log = places.paths, Log("admin")
    bus = await connect("admin", paths, os.environ, log.notices)
    log.attach(bus.publish)
    control = Control(paths.control, log.notices)
    size = partial(_queue_bytes, control)
    store, installer = Store(places.bus_store), Installer(per_user=False)
    watch = StoreWatch(bus, store, TRUTH, installer, Losses(store.root, installer), log.notices)
    streams = StreamKeeper(bus, store, size, log.line, watch)
    ids = IdSource()
    lease = NodeLease(bus, ids)
    try:
        await watch.begin()
        await streams.start()
        putting_down = asyncio.create_task(watch.run())
        await lease.claim()
        async with await _queue_socket(bus, ids, paths, control):
            await putting_down
    finally:
        streams.close()
        await lease.release()
        await watch.end()
        log.close()
        await bus.close()


async def _queue_socket(bus: JetStreamBus, ids: IdSource, paths: Paths, control: Control) -> asyncio.Server:
    """Where `qmail-inject` and `sendmail` in this shell put their mail."""
    return await serve_socket(
        paths.run / "queue",
        Submitter(bus, ids),
        "admin",
        max_bytes=lambda: control.get(DATABYTES),
        exact=control.exact,
        alias_uid=read_rights().alias_uid,
    )


def _queue_bytes(control: Control) -> int | None:
    """control/queuebytes; None where it is bad, which is an alert, and no reason to stop."""
    try:
        return control.get(QUEUEBYTES)
    except ControlError:
        return None


if __name__ == "__main__":
    raise SystemExit(main())
