"""The whole deployment as processes: the bus first, then every role; ended in order."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from services.admin.directories import Directories
from services.admin.rights import Rights
from supervise import bus_watch
from supervise.bus_config import bus_config
from supervise.child import Child
from supervise.http_client import fetch
from supervise.programs import ORDER, bus_program, deployment, role_programs
from supervise.readiness import Readiness
from supervise.settings import HOST, RunSettings

POLL_SECONDS = 0.1
# After this long without being ready, say what is missing, and go on waiting.
COMPLAIN_SECONDS = 30.0
ANY_PORT = -1


class Supervisor:
    """One run of a deployment; `run` returns when `stop` was called and all has ended."""

    def __init__(
        self,
        settings: RunSettings,
        directories: Directories,
        rights: Rights,
        environ: Mapping[str, str],
        python: str,
    ) -> None:
        self._python = python
        self._settings, self._directories, self._rights, self._environ = settings, directories, rights, environ
        self._children: dict[str, Child] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._stops = 0

    def stop(self) -> None:
        """End everything with its grace; asked a second time, at once."""
        self._stops += 1
        self._stopping.set()
        if self._stops > 1:
            for child in self._children.values():
                child.kill()

    async def run(self) -> int:
        """Exit code 0, or 1 where a program could not be started at all."""
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        failed = work.done() and work.exception() is not None
        if failed:
            print(f"run: {work.exception()}", file=sys.stderr, flush=True)
        stopping.cancel()
        await self._end()
        work.cancel()
        return 1 if failed else 0

    async def _work(self) -> None:
        bus_port, monitor_port = await self._start_bus()
        self._write_deployment(bus_port)
        for program in role_programs(self._rights, self._settings, self._environ, bus_port, self._python):
            self._keep(Child(program))
        # From now on: who is not ready yet may be waiting for a bus that hangs.
        watching = asyncio.create_task(
            bus_watch.watch(self._children["bus"], monitor_port, self._directories.bus_store)
        )
        try:
            await self._until(Readiness(self._settings, self._directories, monitor_port).missing)
            print("ready", flush=True)
            # A program that cannot be started again (its file is gone) ends the deployment.
            await asyncio.gather(*self._tasks, watching)
        finally:
            watching.cancel()

    def _keep(self, child: Child) -> None:
        self._children[child.program.name] = child
        self._tasks.append(asyncio.create_task(child.keep()))

    async def _start_bus(self) -> tuple[int, int]:
        """The server takes any two free ports and says which; started again, it keeps them."""
        self._write_bus_config(ANY_PORT, ANY_PORT)
        for stale in self._directories.bus_store.glob("*.ports"):
            stale.unlink()
        child = Child(bus_program(self._rights, self._directories, self._settings, self._environ))
        self._keep(child)
        ports = await self._bus_ports(child)
        self._write_bus_config(*ports)
        # Until it has read its streams. One that it cannot open is admin's to mend, who comes after it.
        await self._until(partial(_bus_missing, ports[1]))
        return ports

    async def _until(self, missing: Callable[[], Awaitable[str]]) -> None:
        """Until nothing is missing; said every COMPLAIN_SECONDS."""
        complain = time.monotonic() + COMPLAIN_SECONDS
        while what := await missing():
            if time.monotonic() >= complain:
                print(f"run: {what}", file=sys.stderr, flush=True)
                complain = time.monotonic() + COMPLAIN_SECONDS
            await asyncio.sleep(POLL_SECONDS)

    async def _bus_ports(self, child: Child) -> tuple[int, int]:
        while True:
            path = self._directories.bus_store / f"nats-server_{child.pid}.ports"
            try:
                found = json.loads(path.read_text(encoding="ascii"))
                return _port_of(found["nats"][0]), _port_of(found["monitoring"][0])
            except (FileNotFoundError, json.JSONDecodeError):
                await asyncio.sleep(POLL_SECONDS)

    def _write_bus_config(self, port: int, monitor_port: int) -> None:
        path = self._directories.paths.run / "nats.conf"
        path.write_text(bus_config(self._directories, port, monitor_port), encoding="utf-8")

    def _write_deployment(self, bus_port: int) -> None:
        facts = {**deployment(self._settings, bus_port), "SUPERVISOR_PID": str(os.getpid())}
        text = "".join(f"{name}={value}\n" for name, value in facts.items())
        deployment_file(self._directories).write_text(text, encoding="utf-8")

    async def _end(self) -> None:
        for group in ORDER:
            ending = [child.end() for name, child in self._children.items() if name in group]
            await asyncio.gather(*ending)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        deployment_file(self._directories).unlink(missing_ok=True)


def deployment_file(directories: Directories) -> Path:
    """Where a running deployment says how it is reached."""
    return directories.paths.run / "deployment"


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def _bus_missing(monitor_port: int) -> str:
    status, body = await fetch(HOST, monitor_port, "/healthz?js-server-only=true")
    said = body.decode(errors="replace").strip() or "no answer"
    return "" if status == 200 else f"the bus is not ready: {said}"
