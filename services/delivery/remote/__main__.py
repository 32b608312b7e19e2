"""`python -m services.delivery.remote`: sends mail to other hosts until SIGTERM.

`qmailctl flush`, or SIGALRM, makes it forget which hosts did not answer (qmail-tcpok).
"""

from __future__ import annotations

import asyncio
import signal
import sys

from qmail.bus.talk import flush
from qmail.control.routing import REMOTE
from qmail.log.log import Log
from qmail.role.health_names import names_checks
from qmail.role.main import run_role
from qmail.role.process import RoleProcess
from services.delivery.remote.deliver import RemoteDelivery, make_world
from services.delivery.worker import Worker

# A far host that lets us wait may not keep the whole deployment from ending: what has not sent its final dot is broken
# off after this, without any doubt whether it has arrived ...
_PATIENCE_SECONDS = 15.0
# ... and what has sent it, after this; the next attempt may then be a duplicate, as after a crash.
_GRACE_SECONDS = 90.0


async def serve(process: RoleProcess) -> None:
    """Deliver until told to end. Raises SettingsError, CredentialsError."""
    delivery = RemoteDelivery(make_world(process.control))
    asyncio.get_running_loop().add_signal_handler(signal.SIGALRM, delivery.flush)
    bus = await process.reach_bus()
    await flush.hear(bus, delivery.flush)
    worker = Worker(bus, REMOTE, delivery)
    process.begin()
    await worker.start()
    process.watch(process.bus_is_there, seen=names_checks(process.control))
    await process.until_told()
    asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, delivery.break_off)
    await worker.stop(_GRACE_SECONDS)
    delivery.close()


if __name__ == "__main__":
    sys.exit(run_role("delivery-remote", Log("delivery-remote"), serve))
