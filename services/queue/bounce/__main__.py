"""`python -m services.queue.bounce`: the bounce writer, a process of the queue role with rights of its own."""

from __future__ import annotations

import os
import sys

from qmail.bus import subjects
from qmail.log.log import Log
from qmail.role.main import run_role
from qmail.role.process import RoleProcess
from services.queue.bounce.writer import BounceWriter

TITLE = "queue bounce writer"


class _StandardError(Log):
    """The queue's log is another process's; standard error is the container's."""

    def line(self, text: str) -> None:
        """Say it at once."""
        print(f"{TITLE}: {text}", file=sys.stderr, flush=True)


async def serve(process: RoleProcess) -> None:
    """Answer until told to end. Raises CredentialsError."""
    bus = await process.reach_bus(subjects.IN, subjects.HOLD, subjects.BODY)
    await BounceWriter(bus, process.control, os.getuid()).start()
    await process.until_told()


if __name__ == "__main__":
    sys.exit(run_role("bounce", _StandardError(TITLE), serve, TITLE))
