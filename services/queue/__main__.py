"""`python -m services.queue`: qmail-send's work. Waits for the lease, then schedules until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial

import uvicorn

from qmail.accounts.assign import Accounts
from qmail.bus import subjects
from qmail.bus.connect import CredentialsError, connect, wait_for_streams
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.nodes import NodeLease
from qmail.control.files import Control, ControlError
from qmail.control.paths import Paths, read_paths
from qmail.control.table import DEFAULTDOMAIN
from qmail.log.log import Log
from qmail.log.notices import Notices
from qmail.message.ids import IdSource
from qmail.role.health import both, keep_watch
from qmail.role.health_names import names_check
from qmail.role.loop import run
from services.queue.api.http import make_app
from services.queue.api.listing import Listing
from services.queue.context import Context
from services.queue.run.account_of import account_of
from services.queue.run.lease import Lease
from services.queue.run.service import QueueService
from services.queue.run.writer_process import BounceWriterProcess
from services.queue.settings import HttpListen, SettingsError, read_http

GRACE_SECONDS = 30.0
EX_CONFIG = 78
# Not EVENTS: that is never the truth.
STREAMS = (subjects.IN, subjects.BODY, subjects.HOLD, subjects.JOURNAL, subjects.CLAIMS)


class _HttpServer(uvicorn.Server):
    """Leaves the signals to the role, which ends everything in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None are captured."""
        yield


async def serve_http(service: QueueService, bus: JetStreamBus, paths: Paths, listen: HttpListen) -> None:
    """Answer HTTP until cancelled."""
    token = (paths.credentials / "http.token").read_text(encoding="ascii").strip()
    config = uvicorn.Config(
        make_app(Listing(service, bus), token),
        host=listen.host,
        port=listen.port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        limit_concurrency=64,
    )
    await _HttpServer(config).serve()


async def _watch(bus: JetStreamBus, control: Control, paths: Paths, node: NodeLease, notices: Notices) -> None:
    async def check() -> None:
        await bus.info(subjects.IN)

    domain = control.get(DEFAULTDOMAIN).decode("latin-1")
    await keep_watch(paths.run, check, also=both(node.renew, names_check(domain)), notices=notices)


async def _reach_bus(paths: Paths, notices: Notices) -> JetStreamBus:
    bus = await connect("queue", paths, os.environ, notices)
    await wait_for_streams(bus, STREAMS)
    return bus


async def main() -> None:
    """Schedule until SIGTERM or the loss of the lease."""
    paths = read_paths(os.environ)
    listen = read_http(os.environ)
    log = Log("qmail")
    control = Control(paths.control, log.notices)
    # As `qmailctl reload` does: mail is not sent by half a list.
    control.check("queue")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    connecting = asyncio.create_task(_reach_bus(paths, log.notices))
    await asyncio.wait((connecting, stopped), return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        connecting.cancel()
        return
    bus = connecting.result()
    log.attach(bus.publish)
    ids = IdSource()
    node = NodeLease(bus, ids)
    watch = asyncio.create_task(_watch(bus, control, paths, node, log.notices))
    writer = BounceWriterProcess(log.line)
    writer.start()
    lease = Lease(bus, stop.set)

    def http_ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.line(f"alert: unforeseen: {type(error).__name__}: {error}; starting anew")
            stop.set()

    acquired = asyncio.create_task(lease.acquire())
    await asyncio.wait((acquired, stopped), return_when=asyncio.FIRST_COMPLETED)
    if acquired.done():
        await node.claim()
        context = Context(bus=bus, log=log, epoch=lease.epoch, held_at=lease.held_at, on_broken=stop.set)
        service = QueueService(context, control, ids, partial(account_of, Accounts(paths.users / "assign")))
        asyncio.get_running_loop().add_signal_handler(signal.SIGALRM, service.flush)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.reload)
        await service.start(is_first=not acquired.result())
        http = asyncio.create_task(serve_http(service, bus, paths, listen))
        http.add_done_callback(http_ended)
        await stop.wait()
        quiet = await service.stop(GRACE_SECONDS)
        http.cancel()
        await node.release()
        await lease.release(quiet=quiet)
    log.close()
    await writer.stop()
    watch.cancel()
    await bus.close()


if __name__ == "__main__":
    try:
        run(main())
    except ControlError as error:
        # qmail-send's line, for whoever looks for it in the log (qmail-log(5)); what is wrong, on standard error.
        Log("qmail").line("alert: cannot start: unable to read controls")
        print(f"queue: fatal: {error}", file=sys.stderr)
        sys.exit(EX_CONFIG)
    except SettingsError as error:
        print(f"queue: fatal: {error}", file=sys.stderr)
        sys.exit(EX_CONFIG)
    except CredentialsError as error:
        sys.exit(f"queue: {error}")
