"""`python -m services.delivery.local`: takes deliveries and questions about recipients until SIGTERM."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from typing import Final

from qmail.accounts.assign import Accounts
from qmail.accounts.identity import ActingPool
from qmail.bus import subjects
from qmail.bus.talk import ask_rcpt
from qmail.control.routing import LOCAL
from qmail.control.table import DATABYTES
from qmail.log.log import Log
from qmail.queue.put import Submitter
from qmail.queue.socket.server import serve_socket
from qmail.role.main import run_role
from qmail.role.process import RoleProcess
from services.delivery.local.announce import Announcer
from services.delivery.local.answer import Answerer
from services.delivery.local.deliver import LocalDelivery
from services.delivery.local.forward import Forwarder
from services.delivery.local.lookup import Lookup
from services.delivery.local.settings import read_settings
from services.delivery.local.spawn import Spawner
from services.delivery.worker import Worker

#: Within compose's stop_grace_period of 5 minutes.
_GRACE_SECONDS: Final = 280.0


async def _open_socket(process: RoleProcess, submitter: Submitter, accounts: Accounts) -> asyncio.Server:
    """Through which users' programs put mail."""
    alias = accounts.named(b"alias")
    return await serve_socket(
        process.paths.run / "queue",
        submitter,
        process.name,
        max_bytes=lambda: process.control.get(DATABYTES),
        exact=process.control.exact,
        alias_uid=alias.uid if alias is not None else None,
    )


async def serve(spawner: Spawner, process: RoleProcess) -> None:
    """Deliver and answer until told to end. Raises SettingsError, CredentialsError, OSError."""
    settings, control = read_settings(os.environ), process.control
    bus = await process.reach_bus(subjects.IN, subjects.BODY)
    await process.claim_node()
    accounts, submitter = Accounts(process.paths.users / "assign"), Submitter(bus, process.ids)
    lookup, pool = Lookup(accounts, control), ActingPool(per_user=settings.per_user)
    process.at_end.callback(pool.close)
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
    socket = await _open_socket(process, submitter, accounts)
    worker = Worker(bus, LOCAL, delivery)
    process.begin()
    await worker.start()
    process.watch(process.bus_is_there, pool.answers)
    await process.until_told()
    await worker.stop(_GRACE_SECONDS)
    socket.close()


def main() -> int:
    os.umask(0o077)
    # Before any thread is started.
    spawner = Spawner()
    try:
        return run_role("delivery-local", Log("delivery-local"), partial(serve, spawner))
    finally:
        spawner.close()


if __name__ == "__main__":
    sys.exit(main())
