"""A bus that cannot write is started again.

After a failed write (a full disk, an error of the disk) the server refuses every other one, says so on /healthz, and
stays like that until it is started again, with room on the disk or without (measured with 2.15.1). In containers
health.sh of services/bus does the same.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from services.admin.bus.store import has_room
from supervise.child import Child
from supervise.http_client import fetch
from supervise.settings import HOST

POLL_SECONDS = 1.0
# It says itself that it cannot write; then a minute, as for every role that does not work.
BROKEN_SECONDS = 3.0
SILENT_SECONDS = 60.0


@dataclass(slots=True)
class Patience:
    """How long one process of the server has been unable to work. Times in seconds of any one clock."""

    pid: int | None = None
    was_well: bool = False
    ill_since: float | None = None

    def is_over(self, pid: int | None, status: int, body: bytes, now: float) -> bool:
        """Whether it must go. A server that was not well yet is still reading its streams."""
        if pid != self.pid:
            self.pid, self.was_well, self.ill_since = pid, False, None
        # Where one stream could not be opened the server works, and admin brings it back.
        if status == 200 or b"could not be recovered" in body:
            self.was_well, self.ill_since = True, None
            return False
        broken = b"write error" in body
        if not broken and not self.was_well:
            return False
        if self.ill_since is None:
            self.ill_since = now
        return now - self.ill_since >= (BROKEN_SECONDS if broken else SILENT_SECONDS)


async def watch(child: Child, monitor_port: int, store: Path) -> None:
    """Look for ever, and kill the server where its time is over; whoever keeps it starts it again. It has answered
    before this is called.

    KILL, because a server that hangs would not hear TERM: what it has acknowledged is on the disk."""
    patience = Patience(child.pid, was_well=True)
    while True:
        await asyncio.sleep(POLL_SECONDS)
        pid = child.pid
        status, body = await fetch(HOST, monitor_port, "/healthz")
        if patience.is_over(pid, status, body, time.monotonic()) and has_room(store):
            print("bus: not able to work; killed, to be started again", file=sys.stderr, flush=True)
            child.kill_process()
