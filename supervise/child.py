"""One program kept running: started with its own identity, started again when it dies, ended with its grace."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.admin.rights import Role

PR_SET_PDEATHSIG = 1
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
# A program that ran this long was not failing to start.
STEADY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to start: `argv` without identity, the environment whole."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    grace_seconds: float


def with_identity(role: Role, argv: Sequence[str]) -> tuple[str, ...]:
    """The command under the role's uid, gid and capabilities and no others (setpriv(1)); for uid 0 to start.

    The kernel forgets the parent-death signal when the uid changes, so setpriv sets it afterwards."""
    kept = "".join(f",+{name.lower()}" for name in role.capabilities)
    change = [f"--reuid={role.uid}", f"--regid={role.gid}", "--clear-groups", "--no-new-privs", "--pdeathsig=TERM"]
    sets = [f"--{which}=-all{kept}" for which in ("inh-caps", "ambient-caps", "bounding-set")]
    return ("setpriv", *change, *sets, "--", *argv)


def next_pause(previous_seconds: float, ran_seconds: float) -> float:
    """How long to wait before starting again: doubling, from the beginning after a steady run."""
    if ran_seconds >= STEADY_SECONDS or previous_seconds == 0:
        return FIRST_PAUSE_SECONDS
    return min(LONGEST_PAUSE_SECONDS, previous_seconds * 2)


class Child:
    """A program of the deployment."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: asyncio.subprocess.Process | None = None
        self._asked_to_end = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def keep(self) -> None:
        """Start, and start again whenever it ends, until `end`. Raises OSError where it cannot be started."""
        pause = 0.0
        while not self._asked_to_end.is_set():
            began = time.monotonic()
            self._process = await self._start()
            if self._asked_to_end.is_set():
                # Asked while the start was under way, when there was nothing to send the signal to.
                self._process.terminate()
            code = await self._process.wait()
            if self._asked_to_end.is_set():
                return
            pause = next_pause(pause, time.monotonic() - began)
            print(f"{self.program.name}: {_ended(code)}; again in {pause:g} s", file=sys.stderr, flush=True)
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._asked_to_end.wait(), seconds)

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own: Ctrl-C at the terminal reaches the supervisor alone, which ends all in order.
        return await asyncio.create_subprocess_exec(
            *self.program.argv,
            env=dict(self.program.environ),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    async def end(self) -> None:
        """TERM, and KILL when the grace has passed."""
        self._asked_to_end.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self.program.grace_seconds)
        except TimeoutError:
            print(f"{self.program.name}: still running after its grace; killed", file=sys.stderr, flush=True)
            self.kill()
            await process.wait()

    def kill_process(self) -> None:
        """KILL to the program, which is then started again."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def kill(self) -> None:
        """KILL to the program and whatever it has started."""
        self._asked_to_end.set()
        process = self._process
        if process is not None and process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


def _ended(code: int) -> str:
    return f"ended with code {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"


_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
