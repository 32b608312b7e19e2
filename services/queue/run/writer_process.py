"""The bounce writer as a child of the queue role: restarted when it dies, ended with us."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
from collections.abc import Callable

RESTART_SECONDS = 1.0
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class BounceWriterProcess:
    """Keeps `python -m services.queue.bounce` running."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    def start(self) -> None:
        """Start it, and again whenever it ends."""
        self._task = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.queue.bounce", preexec_fn=_die_with_parent
            )
            code = await self._process.wait()
            self._log(f"alert: the bounce writer ended with {code}; starting it again")
            await asyncio.sleep(RESTART_SECONDS)

    async def stop(self) -> None:
        """End it in order."""
        if self._task is not None:
            self._task.cancel()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
