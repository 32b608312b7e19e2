"""`python -m services.queue`: qmail-send's work. Waits for the lease, then schedules until SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial

from qmail.accounts.assign import Accounts
from qmail.bus import subjects
from qmail.control.files import ControlError
from qmail.log.log import Log
from qmail.role.exits import exit_code
from qmail.role.health_names import names_checks
from qmail.role.loop import run
from qmail.role.process import RoleProcess
from services.queue.api.http import make_app
from services.queue.api.listing import Listing
from services.queue.api.server import serve_http
from services.queue.context import Context
from services.queue.run.account_of import account_of
from services.queue.run.lease import Lease
from services.queue.run.service import QueueService
from services.queue.run.writer_process import BounceWriterProcess
from services.queue.settings import HttpListen, read_http

GRACE_SECONDS = 30.0
# Not EVENTS: that is never the truth.
STREAMS = (subjects.IN, subjects.BODY, subjects.HOLD, subjects.JOURNAL, subjects.CLAIMS)


async def serve(listen: HttpListen, process: RoleProcess) -> None:
    """Stand by until the lease is ours, then schedule until told to end or until it is lost.

    Raises SettingsError, CredentialsError, OSError."""
    names = names_checks(process.control)
    token = (process.paths.credentials / "http.token").read_text(encoding="ascii").strip()
    bus = await process.reach_bus(*STREAMS)

    async def streams_answer() -> None:
        await bus.info(subjects.IN)

    process.watch(streams_answer, seen=(process.numbers_are_left, *names))
    writer = BounceWriterProcess(process.log.line)
    writer.start()
    try:
        lease = Lease(bus, process.end)
        is_first = not await lease.acquire()
        process.begin()
        await process.claim_node()
        context = Context(bus=bus, log=process.log, epoch=lease.epoch, held_at=lease.held_at, on_broken=process.end)
        users = Accounts(process.paths.users / "assign")
        service = QueueService(context, process.control, process.ids, partial(account_of, users))
        app = make_app(Listing(service, bus), token)
        quiet = await _schedule(process, service, partial(serve_http, app, listen), is_first=is_first)
        await lease.release(quiet=quiet)
    finally:
        await writer.stop()


async def _schedule(
    process: RoleProcess,
    service: QueueService,
    answer_http: Callable[[], Coroutine[None, None, None]],
    *,
    is_first: bool,
) -> bool:
    """Until told to end; whether nothing runs any more."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGALRM, service.flush)
    loop.add_signal_handler(signal.SIGHUP, service.reload)
    await service.start(is_first=is_first)
    http = asyncio.create_task(answer_http())
    http.add_done_callback(partial(_http_ended, process))
    await process.until_told()
    quiet = await service.stop(GRACE_SECONDS)
    http.cancel()
    return quiet


def _http_ended(process: RoleProcess, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        process.log.line(f"alert: unforeseen: {type(error).__name__}: {error}; starting anew")
        process.end()


def start() -> None:
    """Serve until TERM. Raises as `serve`."""
    process = RoleProcess("queue", Log("qmail"))
    try:
        process.control.check("queue")
    except ControlError:
        # qmail-send's line, for whoever looks for it in the log (qmail-log(5)).
        process.log.line("alert: cannot start: unable to read controls")
        raise
    run(process.live(partial(serve, read_http(os.environ))))


if __name__ == "__main__":
    sys.exit(exit_code("queue", start))
