"""`python -m services.log`: keeps the log directories, as qmaill's multilog does (multilog(8))."""

from __future__ import annotations

import sys

from qmail.log.log import Log
from qmail.role.main import run_role
from qmail.role.process import RoleProcess
from services.log.directories import LogDirectories
from services.log.reader import Reader


async def serve(process: RoleProcess) -> None:
    """Read until TERM, which may break this off anywhere. Raises CredentialsError."""
    bus = await process.reach_bus()
    logs = LogDirectories(process.paths.log)
    process.watch(process.bus_is_there)
    try:
        await Reader(bus, logs, process.log.notices).run()
    finally:
        logs.close()


if __name__ == "__main__":
    sys.exit(run_role("log", Log("log"), serve))
