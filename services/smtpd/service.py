"""One process of the door: from the connection to the bus until TERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from qmail.bus import subjects
from qmail.bus.connect import connect, wait_for_streams
from qmail.bus.nodes import NodeLease
from qmail.control.files import Control
from qmail.control.table import DEFAULTDOMAIN
from qmail.door.admission import Admission
from qmail.log.log import Log
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from qmail.role.health import both, keep_watch
from qmail.role.health_names import names_check
from services.smtpd.desk import Desk
from services.smtpd.door import Door
from services.smtpd.plugin import Plugin
from services.smtpd.settings import Settings


async def serve(settings: Settings, admission: Admission, plugin: Plugin | None = None) -> None:
    """Serve until TERM or INT, then finish what runs. Raises CredentialsError, OSError."""
    started, stop = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(_serve(settings, admission, plugin, started, stop))

    def end() -> None:
        stop.set()
        if not started.is_set():
            serving.cancel()  # still waiting for the bus: nothing was begun

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _serve(
    settings: Settings, admission: Admission, plugin: Plugin | None, started: asyncio.Event, stop: asyncio.Event
) -> None:
    log = Log("qmail-smtpd")
    bus = await connect("smtpd", settings.paths, os.environ, log.notices)
    await wait_for_streams(bus, (subjects.IN, subjects.BODY))
    log.attach(bus.publish)
    ids = IdSource()
    lease = NodeLease(bus, ids)
    await lease.claim()
    started.set()
    server = Door(settings, Desk(bus, Submitter(bus, ids), os.getuid()), log, admission, plugin).server()
    await server.start()

    async def reach_streams() -> None:
        await bus.info(subjects.IN)

    domain = Control(settings.paths.control).get(DEFAULTDOMAIN).decode("latin-1")
    seen = both(lease.renew, names_check(domain))
    watch = asyncio.create_task(keep_watch(settings.paths.run, reach_streams, also=seen, notices=log.notices))
    await stop.wait()
    watch.cancel()
    await server.stop()
    log.close()
    await lease.release()
    await bus.close()
