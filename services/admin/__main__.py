"""The admin role: first start, streams; it stays for `qmailctl` and a shell."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial

from qmail.bus import subjects
from qmail.control.files import Control, ControlError
from qmail.control.settings import SettingsError
from qmail.control.table import DATABYTES, QUEUEBYTES
from qmail.log.log import Log
from qmail.queue.put import Submitter
from qmail.queue.socket.server import serve_socket
from qmail.role.exits import exit_code
from qmail.role.process import RoleProcess
from services.admin.bus.losses import Losses
from services.admin.bus.store import Store
from services.admin.bus.store_watch import StoreWatch
from services.admin.bus.stream_provisioner import StreamProvisioner
from services.admin.bus.streams import read_definitions
from services.admin.directories import Directories, read_directories
from services.admin.install import Installer
from services.admin.rights import read_rights
from services.admin.setup.first_start import first_start

# The streams of which nothing may be lost.
TRUTH = [name for name in read_definitions()["stream"] if name != subjects.EVENTS]


async def serve(directories: Directories, process: RoleProcess) -> None:
    """Look after the bus until TERM, which cancels it wherever it is."""
    # The first start is all that the others wait for: the bus itself starts only after admin.
    process.watch()
    bus, log = await process.reach_bus(), process.log
    store, installer = Store(directories.bus_store), Installer(per_user=False)
    watch = StoreWatch(bus, store, TRUTH, installer, Losses(store.root, installer), log.notices)
    streams = StreamProvisioner(bus, store, partial(_queue_bytes, process.control), log.line, watch)
    try:
        await watch.begin()
        await streams.start()
        putting_down = asyncio.create_task(watch.run())
        await process.claim_node()
        async with await _queue_socket(process, Submitter(bus, process.ids)):
            await putting_down
    finally:
        streams.close()
        await watch.end()


async def _queue_socket(process: RoleProcess, submitter: Submitter) -> asyncio.Server:
    """Where `qmail-inject` and `sendmail` in this shell put their mail."""
    return await serve_socket(
        process.paths.run / "queue",
        submitter,
        "admin",
        max_bytes=lambda: process.control.get(DATABYTES),
        exact=process.control.exact,
        alias_uid=read_rights().alias_uid,
    )


def _queue_bytes(control: Control) -> int | None:
    """control/queuebytes; None where it is bad, which is an alert, and no reason to stop."""
    try:
        return control.get(QUEUEBYTES)
    except ControlError:
        return None


def start() -> None:
    """The first start, then serve. Raises SettingsError for a setting or file that must be set right first."""
    directories = read_directories(os.environ)
    try:
        first_start(os.environ)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    directories.paths.run.mkdir(parents=True, exist_ok=True)
    asyncio.run(RoleProcess("admin", Log("admin")).live(partial(serve, directories)))


if __name__ == "__main__":
    sys.exit(exit_code("admin", start))
