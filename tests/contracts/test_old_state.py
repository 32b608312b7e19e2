"""The records of the first release, in its stream STATE on a real NATS server, come to JOURNAL and CLAIMS: all of
them, nothing else, however often the move breaks off and the server dies."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from qmail.bus import subjects
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import BusDown, Record
from services.admin.bus.old_state import move_state
from services.admin.bus.streams import StreamError, make_streams, read_definitions
from tests.support.bus_server import BusServer

T = TypeVar("T")
QUEUE_BYTES = 64 * 1024 * 1024
# As services/bus/streams.toml had it.
OLD = {
    "name": "STATE",
    "subjects": ["state.*", "done.*", "lease", "node.*"],
    "storage": "file",
    "retention": "limits",
    "num_replicas": 1,
    "max_bytes": QUEUE_BYTES // 16,
    "discard": "new",
    "max_msgs_per_subject": 1,
    "allow_direct": True,
}
WAITING = 700  # more than one portion of a reader
MOST_CALLS = 40


class Breaking(JetStreamBus):
    """A connection that breaks at one of its calls."""

    def __init__(self, server: BusServer, calls: int) -> None:
        super().__init__("_INBOX_admin")
        self._server, self._calls = server, calls

    def _count(self) -> None:
        self._calls -= 1
        if self._calls == 0:
            raise BusDown("broken off")

    async def api(self, call: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._count()
        return await super().api(call, arguments)

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        if subject.endswith(("state.10", "done.1-1", "state.699", "lease")):
            self._count()
        return await super().request(subject, payload, timeout_seconds)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BusServer]:
    bus = BusServer(tmp_path)
    bus.start()
    try:
        yield bus
    finally:
        bus.stop()


def on(server: BusServer, work: Callable[[JetStreamBus], Awaitable[T]], calls: int = -1) -> T:
    async def go() -> T:
        bus = Breaking(server, calls)
        await bus.connect(server.url, "admin", server.password("admin"), "test")
        try:
            return await work(bus)
        finally:
            await bus.close()

    return asyncio.run(go())


async def fill(bus: JetStreamBus, *, deleted: bool = True) -> None:
    """What the first release leaves after a day: overwritten records; ended messages, whose record was deleted."""
    assert "error" not in await bus.api("STREAM.CREATE.STATE", OLD)
    await asyncio.gather(*(bus.store(Record("lease", b"%d" % number)) for number in range(20)))
    if deleted:
        for version in range(3):
            await bus.store(Record("state.999", b"ended %d" % version))
        await bus.purge("STATE", "state.999")
    await asyncio.gather(*(bus.store(Record(f"state.{number}", b"first")) for number in range(WAITING)))
    await asyncio.gather(*(bus.store(Record(f"state.{number}", b"last")) for number in range(WAITING)))
    for name in ("done.1-1", "node.5", "node.77", "lease"):
        await bus.store(Record(name, name.encode()))


async def move(bus: JetStreamBus) -> list[str]:
    return await move_state(bus, read_definitions(), QUEUE_BYTES)


async def found(bus: JetStreamBus) -> dict[str, bytes]:
    everything = {}
    for stream in (subjects.JOURNAL, subjects.CLAIMS):
        names = await bus.subjects(stream, ">")
        assert (await bus.info(stream)).messages == len(names)
        for name in names:
            stored = await bus.last(stream, name)
            assert stored is not None
            everything[name] = stored.payload
    return everything


EXPECTED = {
    **{f"state.{number}": b"last" for number in range(WAITING)},
    **{name: name.encode() for name in ("done.1-1", "node.5", "node.77", "lease")},
}


def test_the_records_of_the_first_release_are_moved_and_the_dead_stay_dead(server: BusServer) -> None:
    on(server, fill)
    old = on(server, lambda bus: bus.info("STATE"))
    assert on(server, move) == [subjects.JOURNAL, subjects.CLAIMS]
    server.stop(signal.SIGKILL)
    server.start()
    assert on(server, found) == EXPECTED
    assert on(server, move) == [], "again nothing"
    server.make_streams(QUEUE_BYTES)
    assert server.make_streams(QUEUE_BYTES) == []
    assert on(server, found) == EXPECTED
    lease = on(server, lambda bus: bus.last(subjects.CLAIMS, subjects.LEASE))
    assert lease is not None and lease.sequence > old.last_sequence, "epochs go on"


def test_the_first_release_fails_on_what_was_moved_before_it_writes(server: BusServer) -> None:
    on(server, fill)
    on(server, move)
    server.make_streams(QUEUE_BYTES)
    definitions = {"stream": {"STATE": {**OLD, "share": 0.08}}, "consumer": {}}
    with pytest.raises(StreamError, match="overlap"):
        on(server, lambda bus: make_streams(bus.api, definitions, QUEUE_BYTES))
    with pytest.raises(KeyError):
        on(server, lambda bus: bus.info("STATE"))


def test_a_move_that_breaks_off_anywhere_is_finished_by_the_next(server: BusServer) -> None:
    for calls in range(1, MOST_CALLS):
        # A death before the copy brings back from STATE what the first release deleted: nobody can tell it from what
        # lives, and the scheduler disbelieves it.
        dies, broken = calls % 5 == 0, True
        on(server, lambda bus, dies=dies: fill(bus, deleted=not dies))  # type: ignore[misc]
        try:
            on(server, move, calls)
            broken = False
        except BusDown:
            on(server, expect_that_nobody_takes_a_lease_too_early)
        if dies:
            server.stop(signal.SIGKILL)
            server.start()
        on(server, move)
        assert on(server, found) == EXPECTED
        for stream in (subjects.JOURNAL, subjects.CLAIMS):
            on(server, lambda bus, stream=stream: bus.api(f"STREAM.DELETE.{stream}", {}))  # type: ignore[misc]
        if not broken:
            return
    pytest.fail("the move takes more calls than were tried")


async def expect_that_nobody_takes_a_lease_too_early(bus: JetStreamBus) -> None:
    """Who hears `lease` must know of the one before."""
    for stream in ("STATE", subjects.CLAIMS):
        answer = await bus.api(f"STREAM.INFO.{stream}", {})
        if "error" not in answer and subjects.LEASE in answer["config"]["subjects"]:
            assert await bus.last(stream, subjects.LEASE) is not None
