"""One process of a role, from its start to its end: what every role has in common.

A role hands in `serve`, which says what is its own, in order: what it reads, when it reaches for the bus, what shows
that it can work, what it serves, and after `until_told` what it ends.

Why: docs/decisions/0022-one-shell-for-every-role.md.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TypeAlias

from qmail.bus.connect import connect, wait_for_streams
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.nodes import NodeLease
from qmail.bus.ports import BusDown
from qmail.bus.talk import log_lines
from qmail.control.files import Control
from qmail.control.paths import read_paths
from qmail.control.settings import SettingsError
from qmail.log.log import Log
from qmail.message.ids import IdSource
from qmail.role.health import Check, every, keep_watch

Serve: TypeAlias = "Callable[[RoleProcess], Awaitable[None]]"


class RoleProcess:
    """What a role's `serve` is given. `environ`: QMAIL_DIR, RUN_DIR, BUS_URL, LOG_FORMAT.

    Raises SettingsError for a LOG_FORMAT that there is not."""

    def __init__(self, name: str, log: Log, environ: Mapping[str, str] = os.environ) -> None:
        self.name = name
        self.log = log
        try:
            log.write_as(environ.get("LOG_FORMAT") or "qmail")
        except ValueError as error:
            raise SettingsError(f"LOG_FORMAT is {error}") from None
        self.paths = read_paths(environ)
        self.control = Control(self.paths.control, log.notices)
        #: Message numbers, after `claim_node`.
        self.ids = IdSource()
        #: What is called when all else has ended.
        self.at_end = ExitStack()
        self._environ = environ
        self._bus: JetStreamBus | None = None
        self._node: NodeLease | None = None
        self._watch: asyncio.Task[None] | None = None
        self._work: asyncio.Future[None] | None = None
        self._begun = False
        self._told = asyncio.Event()

    async def live(self, serve: Serve) -> None:
        """Serve until TERM, INT or `end`. Raises what `serve` does."""
        self._work = asyncio.ensure_future(serve(self))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.end)
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._told.is_set():
                raise
        finally:
            await self._close()

    async def _close(self) -> None:
        with self.at_end:
            if self._watch is not None:
                self._watch.cancel()
            self.log.flush()
            if self._node is not None:
                await self._node.release()
            if self._bus is not None:
                await self._bus.close()

    # --- what `serve` calls, in this order ---

    async def reach_bus(self, *streams: str) -> JetStreamBus:
        """Connect, however long the bus is away, and wait until these streams are there. Raises CredentialsError."""
        connecting = asyncio.create_task(connect(self.name, self.paths, self._environ, self.log.notices))
        try:
            # A cancellation that comes just as the connection does would be lost in there (asyncio.wait_for, nats-py).
            self._bus = await asyncio.shield(connecting)
        finally:
            connecting.cancel()
        await wait_for_streams(self._bus, streams)
        log_lines.attach(self.log, self._bus.publish)
        return self._bus

    async def claim_node(self) -> None:
        """Claim a node number for `ids`, until the end. Raises TemporaryError where none is free."""
        assert self._bus is not None
        self._node = NodeLease(self._bus, self.ids)
        await self._node.claim()

    def watch(self, *checks: Check, seen: Sequence[Check] = ()) -> None:
        """From now on look whether `checks` and `seen` succeed, as qmail.role.health has it."""
        watch = keep_watch(self.paths.run, every(*checks), also=every(*seen), notices=self.log.notices)
        self._watch = asyncio.create_task(watch)

    def begin(self) -> None:
        """What begins now is to be ended in order: no more does TERM cancel `serve`."""
        self._begun = True

    async def until_told(self) -> None:
        """Begin, and return when the role is to end."""
        self.begin()
        await self._told.wait()

    # --- checks ---

    async def bus_is_there(self) -> None:
        """The least that every role needs. Raises BusDown."""
        if self._bus is None or not self._bus.connected:
            raise BusDown("not connected")

    async def numbers_are_left(self) -> None:
        """Renew the claim, a record on stable storage. Raises TemporaryError."""
        if self._node is not None:
            await self._node.renew()

    # --- the end ---

    def end(self) -> None:
        """As TERM does: what has begun ends in order; a role that is still waiting ends at once."""
        if self._told.is_set():
            return
        self._told.set()
        if self._work is not None and not self._begun:
            self._work.cancel()
