"""The upgrade of what the first release kept in the stream STATE: its records go to JOURNAL and CLAIMS.

STATE may hold records that were overwritten and deleted, which the server's death would bring back
(docs/decisions/0008); so they are copied to streams of their own, and STATE is removed whole. Each step may be the
last before a crash, and the next start goes on:

1. STATE hears nothing any more: a scheduler of the old release that still runs can store nothing from now on.
2. JOURNAL, then CLAIMS: made so that only we reach it, filled, compared, and opened. Until CLAIMS is open nobody gets
   the lease or a number, so nobody writes.
3. STATE is removed. An old release finds no STATE, cannot make it, and waits.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from qmail.bus import subjects
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import Stored
from services.admin.bus.store import Store
from services.admin.bus.streams import (
    STREAM_NOT_FOUND,
    Reopened,
    StreamError,
    check_size,
    checked,
    error_code,
    make_consumer,
    reopen,
    stream_config,
)

OLD = "STATE"
TARGETS = (subjects.JOURNAL, subjects.CLAIMS)
# What a target hears while it is being filled, before the subject that a record is kept under.
CLOSED = "moving"
STORE_SECONDS = 10.0
# STATE when it hears nothing any more.
OLD_CONFIG: dict[str, Any] = {
    "name": OLD,
    "subjects": [f"{CLOSED}.{OLD}"],
    "storage": "file",
    "retention": "limits",
    "num_replicas": 1,
    "discard": "new",
    "max_msgs_per_subject": 1,
    "allow_direct": True,
}


async def move_state(
    bus: JetStreamBus,
    definitions: Mapping[str, Any],
    queue_bytes: int | None,
    store: Store | None = None,
    reopened: Callable[[Reopened], None] = lambda _each: None,
) -> list[str]:
    """Move what STATE holds; the names of the streams that were filled, nothing where there is no STATE.

    A STATE that lies in `store` and is not open is told to `reopened`. Raises StreamError, OSError and BusDown; then
    nothing is lost, and it is called again."""
    targets = [stream_config(name, definitions["stream"][name], queue_bytes) for name in TARGETS]
    closed = [wanted for wanted in targets if not await _is_open(bus, wanted)]
    found = await bus.api(f"STREAM.INFO.{OLD}", {})
    if error_code(found) == STREAM_NOT_FOUND:
        if not closed or store is None or not store.holds(OLD):
            return []
        reopened(await reopen(bus.api, OLD_CONFIG, store))
        found = await bus.api(f"STREAM.INFO.{OLD}", {})
    checked(await bus.api(f"STREAM.UPDATE.{OLD}", {**checked(found)["config"], "subjects": OLD_CONFIG["subjects"]}))
    for wanted in closed:
        await _fill(bus, wanted)
    checked(await bus.api(f"STREAM.DELETE.{OLD}", {}))
    return [wanted["name"] for wanted in closed]


async def _is_open(bus: JetStreamBus, wanted: Mapping[str, Any]) -> bool:
    found = await bus.api(f"STREAM.INFO.{wanted['name']}", {})
    if error_code(found) == STREAM_NOT_FOUND:
        return False
    return bool(checked(found)["config"]["subjects"] == wanted["subjects"])


async def _fill(bus: JetStreamBus, wanted: Mapping[str, Any]) -> None:
    name, old = wanted["name"], checked(await bus.api(f"STREAM.INFO.{OLD}", {}))["state"]
    prefix = f"{CLOSED}.{name}"
    if error_code(found := await bus.api(f"STREAM.INFO.{name}", {})) == STREAM_NOT_FOUND:
        check_size(wanted)
        # Sequences go on: that of the lease is the scheduler's epoch, which never falls.
        closed = {"subjects": [f"{prefix}.>"], "subject_transform": {"src": f"{prefix}.>", "dest": ">"}}
        found = await bus.api(f"STREAM.CREATE.{name}", {**wanted, **closed, "first_seq": old["last_seq"] + 1})
    config = dict(checked(found)["config"])
    await _copy(bus, prefix, wanted["subjects"], old["messages"])
    config.pop("subject_transform", None)
    checked(await bus.api(f"STREAM.UPDATE.{name}", {**config, **wanted}))


async def _copy(bus: JetStreamBus, prefix: str, patterns: list[str], expected: int) -> None:
    """Copy the records of some subjects, in their order. One that was copied before a crash is overwritten, so that
    the order of a whole copy is that of STATE."""
    await make_consumer(bus.api, OLD, CLOSED, {"ack_policy": "none"})
    records = _Portions()
    follower = await bus.follow(OLD, CLOSED, records.take, records.end, paced=True)
    read = 0
    try:
        while portion := await records.next():
            ours = [each for each in portion if any(fnmatchcase(each.subject, pattern) for pattern in patterns)]
            await asyncio.gather(*(_store(bus, f"{prefix}.{each.subject}", each.payload) for each in ours))
            read += len(portion)
            follower.go()
    finally:
        await follower.stop()
    if read != expected:
        raise StreamError(f"{OLD}: {read} of {expected} records read; trying again")


class _Portions:
    """Records that come, some hundred at a time."""

    def __init__(self) -> None:
        self._waiting: list[Stored] = []
        self._ended = False
        self._more = asyncio.Event()

    def take(self, stored: Stored) -> None:
        self._waiting.append(stored)
        self._more.set()

    def end(self) -> None:
        self._ended = True
        self._more.set()

    async def next(self) -> list[Stored]:
        """Nothing when there is no more."""
        await self._more.wait()
        portion, self._waiting = self._waiting, []
        if not self._ended:
            self._more.clear()
        return portion


async def _store(bus: JetStreamBus, subject: str, payload: bytes) -> None:
    """Once: a repetition after a lost answer would change the order of the records."""
    answer = json.loads(await bus.request(subject, payload, STORE_SECONDS))
    if "error" in answer:
        raise StreamError(f"{subject}: {answer['error'].get('description')}")
