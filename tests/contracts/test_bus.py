"""What the roles expect of the bus: one suite for the bus in memory and for a real NATS server."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qmail.bus import subjects
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.nodes import NodeLease
from qmail.bus.ports import (
    AlreadyStored,
    Bus,
    BusDown,
    Message,
    QueueFull,
    Record,
    RecordTooLarge,
    Stored,
    WrongSequence,
)
from qmail.bus.pull import PULL_MESSAGES
from qmail.bus.talk.messages import WORKERS
from qmail.message.ids import IdSource
from qmail.queue.fetch import body_pieces, fetch
from qmail.queue.put import CHUNK_BYTES, Submitter
from tests.support.bus_server import BusServer
from tests.support.drafts import INVOKED, make_draft
from tests.support.memory_bus import MemoryBus
from tests.support.stored import fetch_all, positions

WAIT_SECONDS = 90


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    bus = BusServer(Path(tmp_path_factory.mktemp("bus")))
    bus.start()
    try:
        bus.make_streams(64 * 1024 * 1024)
        yield bus
    finally:
        bus.stop()


@asynccontextmanager
async def open_bus(kind: str, server: BusServer) -> AsyncIterator[Bus]:
    if kind == "memory":
        memory = MemoryBus()
        memory.streams[subjects.IN].max_bytes = 24 * 1024 * 1024
        yield memory
        return
    bus = JetStreamBus("_INBOX_admin")
    await bus.connect(server.url, "admin", server.password("admin"), "test")
    for stream in (subjects.IN, subjects.BODY, subjects.HOLD, subjects.JOURNAL, subjects.CLAIMS):
        await bus.purge(stream)
    yield bus
    await bus.close()


@pytest.fixture(params=["memory", "nats"])
def on_bus(request: pytest.FixtureRequest, server: BusServer) -> Callable[[Callable[[Bus], Awaitable[None]]], None]:
    def run(scenario: Callable[[Bus], Awaitable[None]]) -> None:
        async def main() -> None:
            async with open_bus(request.param, server) as bus:
                await asyncio.wait_for(scenario(bus), WAIT_SECONDS)

        asyncio.run(main())

    return run


OnBus = Callable[[Callable[[Bus], Awaitable[None]]], None]


def record(message_id: int, payload: bytes = b"body") -> Record:
    return Record(subjects.accepted(message_id), payload, {subjects.ENVELOPE_HEADER: "e30="})


DRAFT = make_draft(b"joni@xeris.com")


def test_a_stored_record_is_read_back_and_cannot_be_overwritten(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        sequence = await bus.store(record(1, b"first"))
        with pytest.raises(AlreadyStored):
            await bus.store(record(1, b"second"))
        stored = await bus.last(subjects.IN, subjects.accepted(1))
        assert stored is not None and (stored.payload, stored.sequence) == (b"first", sequence)
        assert await bus.last(subjects.IN, subjects.accepted(2)) is None

    on_bus(scenario)


def test_a_record_that_the_server_does_not_take_is_refused_at_once(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        with pytest.raises(RecordTooLarge):
            await bus.store(Record(subjects.state(1), b"x" * 1_100_000))
        assert await bus.store(Record(subjects.state(1), b"x" * 1_000_000)) > 0

    on_bus(scenario)


def test_a_state_record_is_replaced_and_guarded_by_its_sequence(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        first = await bus.store(Record(subjects.LEASE, b"a"), expected_sequence=0)
        with pytest.raises(WrongSequence):
            await bus.store(Record(subjects.LEASE, b"b"), expected_sequence=0)
        second = await bus.store(Record(subjects.LEASE, b"c"), expected_sequence=first)
        stored = await bus.last(subjects.CLAIMS, subjects.LEASE)
        assert stored is not None and (stored.payload, stored.sequence) == (b"c", second)
        assert (await bus.info(subjects.CLAIMS)).messages == 1

    on_bus(scenario)


def test_a_follower_sees_what_was_and_what_comes_without_bodies(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        for number in range(3):
            await bus.store(record(number))
        seen: list[Stored] = []
        caught_up, more = asyncio.Event(), asyncio.Event()

        def take(stored: Stored) -> None:
            seen.append(stored)
            if len(seen) == 4:
                more.set()

        follower = await bus.follow(subjects.IN, subjects.QUEUE_CONSUMER, take, caught_up.set)
        await caught_up.wait()
        assert [s.subject for s in seen] == ["in.0", "in.1", "in.2"]
        await bus.store(record(3))
        await more.wait()
        assert seen[3].subject == "in.3" and seen[3].payload == b""
        assert seen[3].headers[subjects.ENVELOPE_HEADER] == "e30="
        await follower.stop()

    on_bus(scenario)


def test_a_paced_follower_begins_where_it_is_told_and_brings_more_when_it_is_asked(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        count, before = PULL_MESSAGES + 10, (await bus.info(subjects.IN)).last_sequence
        await asyncio.gather(*(bus.store(record(number)) for number in range(1, count + 1)))
        seen: list[int] = []
        caught_up, some = asyncio.Event(), asyncio.Event()

        def take(stored: Stored) -> None:
            seen.append(stored.sequence)
            if len(seen) >= PULL_MESSAGES:
                some.set()

        follower = await bus.follow(
            subjects.IN, subjects.OLD_CONSUMER, take, caught_up.set, after=before + 2, paced=True
        )
        await some.wait()
        follower.go()
        await caught_up.wait()
        assert seen == list(range(before + 3, before + count + 1))
        await follower.stop()

    on_bus(scenario)


def test_a_follower_of_an_empty_stream_is_caught_up_at_once(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        caught_up = asyncio.Event()
        follower = await bus.follow(subjects.JOURNAL, subjects.QUEUE_CONSUMER, lambda _: None, caught_up.set)
        assert await asyncio.wait_for(caught_up.wait(), 5), "long before a pull's time is over"
        await follower.stop()

    on_bus(scenario)


def test_a_purge_takes_what_lies_below_and_what_fits(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        sequences = [await bus.store(record(number)) for number in range(5)]
        await bus.purge(subjects.IN, below_sequence=sequences[3])
        assert await bus.last(subjects.IN, subjects.accepted(2)) is None
        assert await bus.last(subjects.IN, subjects.accepted(3)) is not None
        await bus.store(Record(subjects.body(7, 0), b"a"))
        await bus.store(Record(subjects.body(7, 1), b"b"))
        await bus.store(Record(subjects.body(8, 0), b"c"))
        assert sorted(await bus.subjects(subjects.BODY, "body.*.0")) == ["body.7.0", "body.8.0"]
        await bus.purge(subjects.BODY, "body.7.*")
        assert await bus.subjects(subjects.BODY, "body.*.*") == ["body.8.0"]

    on_bus(scenario)


def test_a_question_goes_to_one_of_a_group_and_none_is_an_error(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        asked: list[bytes] = []

        def answer(message: Message) -> None:
            asked.append(message.payload)
            bus.publish(message.reply, b"yes " + message.payload)

        await bus.subscribe("ask.rcpt", answer, WORKERS)
        await bus.subscribe("ask.rcpt", answer, WORKERS)
        assert await bus.request("ask.rcpt", b"1", 5) == b"yes 1"
        assert asked == [b"1"]
        with pytest.raises(BusDown):
            await bus.request("ask.nobody", b"", 5)

    on_bus(scenario)


def test_a_subject_is_heard_as_long_as_somebody_listens(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        assert not await bus.is_heard("scheduler")
        subscription = await bus.subscribe("scheduler", lambda message: None)
        assert await bus.is_heard("scheduler")
        await subscription.stop()
        assert not await bus.is_heard("scheduler")

    on_bus(scenario)


def test_a_callback_that_fails_is_logged_and_the_next_message_comes(
    on_bus: OnBus, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(bus: Bus) -> None:
        heard = asyncio.Event()

        def hear(message: Message) -> None:
            if message.payload == b"bad":
                raise ZeroDivisionError
            heard.set()

        await bus.subscribe("ask.rcpt", hear)
        bus.publish("ask.rcpt", b"bad")
        bus.publish("ask.rcpt", b"good")
        await asyncio.wait_for(heard.wait(), 5)
        assert "ZeroDivisionError" in caplog.text

    on_bus(scenario)


def test_a_subscription_that_was_stopped_hears_no_more_and_leaves_the_others_alone(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        first: list[bytes] = []
        second: list[bytes] = []
        came: asyncio.Queue[None] = asyncio.Queue()

        def hear(into: list[bytes]) -> Callable[[Message], None]:
            def take(message: Message) -> None:
                into.append(message.payload)
                came.put_nowait(None)

            return take

        one = await bus.subscribe("new.2001", hear(first))
        await bus.subscribe("new.2001", hear(second))
        bus.publish("new.2001", b"a")
        bus.publish("new.2002", b"not for us")
        await came.get()
        await came.get()
        await one.stop()
        await one.stop()
        bus.publish("new.2001", b"b")
        await came.get()
        again = await bus.subscribe("new.2001", hear(first))
        bus.publish("new.2001", b"c")
        await came.get()
        await came.get()
        assert (first, second) == ([b"a", b"c"], [b"a", b"b", b"c"])
        await again.stop()

    on_bus(scenario)


def test_a_full_stream_says_so_and_takes_nothing(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        with pytest.raises(QueueFull):
            for number in range(100):
                await bus.store(record(number, bytes(900_000)))
        before = (await bus.info(subjects.IN)).messages
        with pytest.raises(QueueFull):
            await bus.store(record(1000, bytes(900_000)))
        assert (await bus.info(subjects.IN)).messages == before

    on_bus(scenario)


def test_messages_put_together_all_arrive_once(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        ids = IdSource()
        lease = NodeLease(bus, ids)
        await lease.claim()
        submitter = Submitter(bus, ids)
        await submitter.ready()

        async def put(number: int) -> int:
            submission = submitter.begin()
            await submission.write(b"message %d\n" % number)
            return (await submission.commit(DRAFT, INVOKED)).id

        numbers = await asyncio.gather(*(put(number) for number in range(100)))
        assert len(set(numbers)) == 100
        where = await positions(bus)
        assert len({position.record for position in where.values()}) < 100, "what is accepted together shares a record"
        for number, message_id in enumerate(numbers):
            fetched = await fetch(bus, message_id, held=False, position=where[message_id])
            assert fetched.body == b"message %d\n" % number
            assert fetched.envelope.prefix.startswith(b"Received: (qmail %d invoked from network); " % message_id)
        await lease.release()

    on_bus(scenario)


def test_a_large_message_goes_in_chunks_and_comes_back_whole(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        ids = IdSource()
        ids.grant(1, 0, 1 << 62)
        submission = Submitter(bus, ids).begin()
        piece = bytes(range(256)) * 1000
        for _ in range(5):
            await submission.write(piece)
        envelope = await submission.commit(DRAFT, INVOKED)
        assert envelope.size_bytes == 5 * len(piece) and envelope.chunk_count == 3
        [fetched] = await fetch_all(bus)
        assert fetched.body is None
        read = [chunk async for chunk in body_pieces(bus, fetched)]
        assert b"".join(read) == piece * 5 and max(map(len, read)) <= CHUNK_BYTES

    on_bus(scenario)


def test_an_envelope_too_large_for_a_header_has_a_record_of_its_own(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        ids = IdSource()
        ids.grant(1, 0, 1 << 62)
        submission = Submitter(bus, ids).begin()
        await submission.write(b"hello\n")
        draft = make_draft(*[b"user%d@xeris.com" % number for number in range(2000)])
        envelope = await submission.commit(draft, INVOKED)
        [fetched] = await fetch_all(bus)
        assert fetched.envelope == envelope and fetched.body == b"hello\n"

    on_bus(scenario)


def test_two_processes_never_share_a_node(on_bus: OnBus, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bus: Bus) -> None:
        first, second = IdSource(), IdSource()
        one, two = NodeLease(bus, first), NodeLease(bus, second)
        drawn = iter([5, 5, 6])
        monkeypatch.setattr("qmail.bus.nodes.secrets.randbelow", lambda _: next(drawn))
        await one.claim()
        await two.claim()
        given = {source.next() for source in (first, second) for _ in range(2000)}
        assert len(given) == 4000
        await one.release()
        await two.release()

    on_bus(scenario)


def test_a_claim_is_renewed_as_often_as_asked_and_by_whoever_asks(on_bus: OnBus) -> None:
    async def scenario(bus: Bus) -> None:
        now = [1_800_000_000.0]
        lease = NodeLease(bus, IdSource(lambda: now[0]), lambda: now[0])
        await lease.renew()  # nothing is claimed yet, nothing happens
        await lease.claim()
        (subject,) = await bus.subjects(subjects.CLAIMS, "node.*")

        async def record() -> dict[str, object]:
            stored = await bus.last(subjects.CLAIMS, subject)
            assert stored is not None
            found: dict[str, object] = json.loads(stored.payload)
            return found

        claimed = await record()
        now[0] += 7
        await asyncio.gather(lease.renew(), lease.renew())
        assert await record() == {**claimed, "until": claimed["until"] + 7000}  # type: ignore[operator]
        # A renewal that was stored while its answer was lost.
        await bus.store(Record(subject, json.dumps(claimed).encode()))
        await lease.renew()
        now[0] += 1
        await lease.renew()
        assert (await record())["until"] == claimed["until"] + 8000  # type: ignore[operator]
        await lease.release()
        await lease.renew()
        assert (await record())["owner"] == ""

    on_bus(scenario)


def test_the_connection_comes_back_after_the_server_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store begun while the server is down succeeds once it is back; a follower misses nothing."""
    # However long the server takes to start.
    monkeypatch.setattr("qmail.bus.jetstream.STORE_TIMEOUT_SECONDS", 60.0)
    server = BusServer(tmp_path)
    server.start()
    server.make_streams(64 * 1024 * 1024)

    async def main() -> None:
        lost, back = asyncio.Event(), asyncio.Event()
        bus = JetStreamBus("_INBOX_admin", on_lost=lost.set)
        await bus.connect(server.url, "admin", server.password("admin"), "test")
        bus.on_reconnected(back.set)
        seen: list[str] = []
        both = asyncio.Event()

        def take(stored: Stored) -> None:
            seen.append(stored.subject)
            if len(seen) == 2:
                both.set()

        await bus.follow(subjects.IN, subjects.QUEUE_CONSUMER, take, lambda: None)
        await bus.store(record(1))
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        await lost.wait()
        assert not back.is_set()
        storing = asyncio.create_task(bus.store(record(2)))
        await asyncio.to_thread(server.start)
        await storing
        await both.wait()
        await back.wait()
        assert seen == ["in.1", "in.2"]
        await bus.close()

    try:
        asyncio.run(asyncio.wait_for(main(), 120))
    finally:
        server.stop()


def test_what_another_reader_of_the_consumer_got_comes_all_the_same(server: BusServer) -> None:
    """A scheduler that was suspended may still have a pull open while its successor works: nothing may be missing."""

    async def main() -> None:
        async with open_bus("nats", server) as bus:
            other = JetStreamBus("_INBOX_admin")
            await other.connect(server.url, "admin", server.password("admin"), "other")
            caught_up = asyncio.Event()
            old = await other.follow(subjects.IN, subjects.QUEUE_CONSUMER, lambda _: None, caught_up.set)
            await caught_up.wait()
            await old.stop()
            seen: list[str] = []
            all_there = asyncio.Event()

            def take(stored: Stored) -> None:
                seen.append(stored.subject)
                if len(seen) == 30:
                    all_there.set()

            follower = await bus.follow(subjects.IN, subjects.QUEUE_CONSUMER, take, lambda: None)
            for number in range(30):
                await bus.store(record(number))
                if number == 10:
                    await other.close()
            await all_there.wait()
            assert seen == [f"in.{number}" for number in range(30)], "each once, in order"
            await follower.stop()

    asyncio.run(asyncio.wait_for(main(), 60))
