"""Admin's care for the streams: made at the start, and looked after each time that the bus comes back.

What a power cut or a bad disk leaves of a stream may be nothing that the server opens; it starts without that stream,
and whoever needs it waits. EVENTS is never the truth and comes back without its records; of the others nothing goes
away in silence (docs/decisions/0009).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from qmail.bus import subjects
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import BusDown
from qmail.bus.talk import disk
from services.admin.bus.old_state import move_state
from services.admin.bus.store import Store, has_room
from services.admin.bus.store_watch import StoreWatch
from services.admin.bus.streams import Reopened, StreamError, make_streams, read_definitions

RETRY_SECONDS = 2.0


class StreamProvisioner:
    """`queue_bytes` is asked before each look; None: nobody knows, and what is there keeps its size."""

    def __init__(
        self,
        bus: JetStreamBus,
        store: Store,
        queue_bytes: Callable[[], int | None],
        line: Callable[[str], None],
        watch: StoreWatch,
    ) -> None:
        self._bus, self._store, self._queue_bytes = bus, store, queue_bytes
        self._line, self._watch = line, watch
        self._definitions = read_definitions()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when every stream and reader is there, and see to it from then on. Raises BusDown."""
        await disk.answer(self._bus, lambda: has_room(self._store.root))
        await self._make()
        self._bus.on_reconnected(self._again)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _again(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._make())

    async def _make(self) -> None:
        """Until it succeeds: the roles wait for their streams, and a full disk or a starting bus may pass."""
        while True:
            try:
                size = self._queue_bytes()
                for name in await move_state(self._bus, self._definitions, size, self._store, self._reopened):
                    print(f"admin: moved the records of the first release to {name}", flush=True)
                for name in await make_streams(self._bus.api, self._definitions, size, self._store, self._reopened):
                    print(f"admin: made {name}", flush=True)
                await self._watch.look()
                return
            except (StreamError, BusDown, OSError) as error:
                print(f"admin: streams: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(RETRY_SECONDS)

    def _reopened(self, each: Reopened) -> None:
        what = f"the bus could not open stream {each.name} as it was"
        if each.kept is None:
            self._line(f"alert: {what}; made anew, it has its {each.records} records")
        elif each.name == subjects.EVENTS:
            self._line(f"alert: {what}; made anew without its log lines, which are in {each.kept}")
        else:
            self._line(f"alert: {what}; made anew, what it held is in {each.kept}")
            self._watch.apart(each.name, each.kept)
