"""The server loop on real loopback sockets, with a small line protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from qmail.door.admission import Budget
from qmail.door.certificate import TlsUnavailable
from qmail.door.limits import Limits, Patience
from qmail.door.listeners import Listener, parse_listeners
from qmail.door.server import Server
from qmail.door.session import Close, Effect, Notify, Peer, Send, SendBytes
from tests.support.hall import (
    CERTIFICATES,
    Answers,
    Lines,
    LogLines,
    Run,
    World,
    certificate,
    client_context,
    client_hello,
    connect,
    serving,
    turns,
    until,
)


def test_input_and_events_wait_for_the_answer(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, world):
            reader, writer = await connect(server)
            writer.write(b"ask wait\n")
            await world.asked.get()
            writer.write(b"later\n")
            world.notifiers[0]("mail")
            world.notifiers[0]("mail")
            await reader.readline()
            world.gate.set()
            assert await reader.readline() == b"answer to ask wait\n"
            assert sorted([await reader.readline(), await reader.readline()]) == [b"event mail\n", b"later\n"]
            world.notifiers[0]("more")
            assert await reader.readline() == b"event more\n"
            writer.close()

    run(main())


def test_reading_pauses_while_an_answer_is_awaited_and_nothing_is_lost(run: Run) -> None:
    async def main() -> None:
        async with serving(Limits(held_bytes=1000)) as (server, world):
            reader, writer = await connect(server)
            writer.write(b"ask wait\n")
            await world.asked.get()
            lines = b"".join(b"%0999d\n" % number for number in range(20_000))
            writer.write(lines)
            writer.write_eof()
            (connection,) = server.connections
            await until(lambda: not connection._wire.reading)
            assert connection._held.size_bytes <= 1000 + 256 * 1024
            world.gate.set()
            assert await reader.read() == b"hello\nanswer to ask wait\n" + lines + b"end\n"

    run(main())


def test_a_failing_handler_is_told_to_the_session(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            reader, writer = await connect(server)
            writer.write(b"ask error\nnext\nbye\n")
            assert await reader.read() == b"hello\nfailed ConnectionRefusedError\nnext\ngood bye\n"

    run(main())


def test_a_session_that_raises_is_logged_once_closed_and_the_others_live(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving() as (server, world):
            other, other_writer = await connect(server)
            reader, writer = await connect(server)
            writer.write(b"boom\n")
            assert await reader.read() == b"hello\n"
            await world.closed.get()
            other_writer.write(b"still\nbye\n")
            assert await other.read() == b"hello\nstill\ngood bye\n"

    with caplog.at_level(logging.WARNING):
        run(main())
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_stalled_reader_holds_the_handler_and_is_cut_off(run: Run) -> None:
    class Short(Lines):
        timeout_seconds = 0.2

    async def main() -> None:
        async with serving(session=Short) as (server, world):
            _, writer = await connect(server)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"flood\n")
            await world.closed.get()
            assert world.sent_bytes < 30_000_000
            assert world.cancelled == 1
            writer.transport.abort()

    run(main())


def test_a_slow_reader_gets_everything(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            reader, writer = await connect(server)
            writer.write(b"flood\nbye\n")
            got = await reader.read()
            assert len(got) == len(b"hello\nanswer to flood\ngood bye\n") + 65536 * 1000
            assert got.endswith(b"\0answer to flood\ngood bye\n")

    run(main())


def test_a_disconnect_does_not_cut_a_running_answer_and_closed_comes_after_it(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, world):
            _, writer = await connect(server)
            writer.write(b"ask wait\n")
            await world.asked.get()
            writer.transport.abort()
            other, other_writer = await connect(server)
            other_writer.write(b"x\n")
            await other.readline()
            await other.readline()
            assert world.closed.empty()
            world.gate.set()
            await world.closed.get()
            assert world.cancelled == 0
            assert len(server.connections) == 1

    run(main())


def test_idle_connections_are_timed_out_with_a_word(run: Run) -> None:
    class Short(Lines):
        timeout_seconds = 0.05

    async def main() -> None:
        async with serving(session=Short) as (server, world):
            reader, _ = await connect(server)
            assert await reader.read() == b"hello\ntoo slow\n"
            await world.closed.get()

    run(main())


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send a byte as often as the server hears one, until it ends; what it has said."""
    said = asyncio.create_task(reader.read())
    while not said.done():
        with contextlib.suppress(ConnectionError):
            writer.write(b"x")
            await writer.drain()
        await asyncio.sleep(0)
    return said.result()


def test_a_byte_in_time_renews_the_idle_time_and_not_the_patience(run: Run) -> None:
    class Waiting(Lines):
        patience = Patience(seconds=0.2)

    async def main() -> None:
        async with serving(session=Waiting) as (server, world):
            reader, writer = await connect(server)
            assert await drip(reader, writer) == b"hello\ntoo slow\n"
            await world.closed.get()
            assert server.admission.empty

    run(main())


def test_who_accomplishes_something_is_given_the_whole_time_again(run: Run) -> None:
    class Waiting(Lines):
        patience = Patience(seconds=1000.0)

        def answered(self, answer: object) -> Sequence[Effect]:
            self.accomplished += 1
            return super().answered(answer)

    async def main() -> None:
        async with serving(session=Waiting) as (server, _):
            reader, writer = await connect(server)
            assert await reader.readline() == b"hello\n"
            (connection,) = server.connections
            connection.stay.since -= 999.0
            writer.write(b"word\n")
            assert await reader.readline() == b"word\n"
            assert connection.deadline < asyncio.get_running_loop().time() + 2
            writer.write(b"ask\n")
            assert await reader.readline() == b"answer to ask\n"
            assert connection.deadline > asyncio.get_running_loop().time() + 50

    run(main())


async def came_earlier(server: Server, seconds: float) -> None:
    """As if everybody had come so much earlier."""
    for connection in server.connections:
        connection.stay.since -= seconds


class Patient(Lines):
    patience = Patience(seconds=600.0, bytes_per_second=10)


def test_a_full_door_takes_a_place_from_who_wastes_it_longest(run: Run) -> None:
    async def main() -> None:
        async with serving(session=Patient, budget=Budget(2, 3)) as (server, _):
            first, _ = await connect(server)
            assert await first.readline() == b"hello\n"
            (wasting,) = server.connections
            await came_earlier(server, 10.0)
            second, _ = await connect(server)
            assert await second.readline() == b"hello\n"
            third, _ = await connect(server)
            assert await third.read() == b"full\n", "both may be about to do something"
            server._room_due = 0.0
            await came_earlier(server, 31.0)
            fourth, _ = await connect(server)
            assert await fourth.readline() == b"hello\n"
            assert await first.read() == b"too slow\n"
            assert not wasting._wire.open, "nobody watches over it any more"
            assert server.admission.total() == len(server.connections) == 2

    run(main())


@pytest.mark.parametrize("word", [b"ask wait\n", b"x" * 400 + b"\n"], ids=["an answer", "as much as its time is worth"])
def test_a_full_door_leaves_who_waits_for_us_or_sends_enough(run: Run, word: bytes) -> None:
    async def main() -> None:
        async with serving(session=Patient, budget=Budget(1, 3)) as (server, world):
            first, writer = await connect(server)
            writer.write(word)
            assert await first.readline() == b"hello\n"
            await until(lambda: all(connection.stay.sent_bytes == len(word) for connection in server.connections))
            await came_earlier(server, 60.0)
            second, _ = await connect(server)
            assert await second.read() == b"full\n"
            world.gate.set()

    run(main())


def test_a_full_door_leaves_who_has_logged_in(run: Run) -> None:
    async def main() -> None:
        async with serving(budget=Budget(1, 3)) as (server, _):
            first, _ = await connect(server)
            assert await first.readline() == b"hello\n"
            await came_earlier(server, 10_000.0)
            second, _ = await connect(server)
            assert await second.read() == b"full\n"

    run(main())


def test_patience_grows_with_what_is_sent_up_to_its_bound() -> None:
    patience = Patience(seconds=100.0, bytes_per_second=10, longest_seconds=150.0)
    assert [patience.allows(sent) for sent in (0, 200, 10_000)] == [100.0, 120.0, 150.0]
    assert Patience(seconds=100.0).allows(10_000) == 100.0


def test_who_is_above_a_limit_is_one_line_in_the_log(run: Run) -> None:
    async def main() -> None:
        log = LogLines()
        async with serving(budget=Budget(2, 1), log=log) as (server, _):
            first, _ = await connect(server)
            await first.readline()
            second, _ = await connect(server)
            assert await second.read() == b"full\n"
            why = "1 connections from there, as many as may be"
            assert log.lines == [f"refused connection 127.0.0.1: port {server.ports[0]}: {why}"]

    run(main())


def test_our_last_words_are_not_lost_to_a_client_that_is_sending_still(run: Run) -> None:
    class Strict(Lines):
        def received(self, data: bytes) -> Sequence[Effect]:
            return [Send(b"enough\n"), Close()]

    async def main() -> None:
        async with serving(Limits(sweep_seconds=0.01, hang_up_seconds=60.0), session=Strict) as (server, world):
            reader, writer = await connect(server)
            writer.write(b"x" * 100)
            assert await reader.readline() == b"hello\n"
            assert await reader.readline() == b"enough\n"
            for _ in range(100):
                writer.write(b"x" * 65536)
                await writer.drain()
            assert await reader.read() == b""
            writer.close()
            await world.closed.get()

    run(main())


def test_news_for_a_client_do_not_keep_one_that_is_silent(run: Run) -> None:
    class Short(Lines):
        timeout_seconds = 0.2

    async def main() -> None:
        async with serving(session=Short) as (server, world):
            reader, _ = await connect(server)
            assert await reader.readline() == b"hello\n"
            line = b"event look\n"
            while line == b"event look\n":
                world.notifiers[0]("look")
                line = await reader.readline()
            assert line == b"too slow\n"

    run(main())


def test_limits_total_and_per_ip_refuse_and_recover(run: Run) -> None:
    async def main() -> None:
        async with serving(budget=Budget(3, 2)) as (server, world):
            first, writer = await connect(server)
            second, _ = await connect(server)
            await first.readline()
            await second.readline()
            third, _ = await connect(server)
            assert await third.read() == b"full\n"
            writer.write(b"bye\n")
            await world.closed.get()
            fourth, _ = await connect(server)
            assert await fourth.readline() == b"hello\n"

    run(main())


def test_stop_lets_the_busy_finish_and_sends_the_idle_away(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, world):
            idle, _ = await connect(server)
            busy, busy_writer = await connect(server)
            busy_writer.write(b"ask wait\n")
            await world.asked.get()
            await idle.readline()
            stop = asyncio.create_task(server.stop(5))
            assert await idle.read() == b"stopping\n"
            with pytest.raises(OSError):
                await connect(server)
            assert not stop.done()
            world.gate.set()
            assert await busy.read() == b"hello\nanswer to ask wait\nstopping\n"
            await stop

    run(main())


def test_stop_cuts_off_what_does_not_end_within_the_grace(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, world):
            _, writer = await connect(server)
            writer.write(b"ask wait\n")
            await world.asked.get()
            await server.stop(0.05)
            assert len(server.connections) == 0
            assert world.cancelled == 1

    run(main())


def test_starttls_forgets_plain_text_sent_before_the_handshake(run: Run) -> None:
    async def main() -> None:
        async with serving(tls=certificate()) as (server, world):
            reader, writer = await connect(server)
            writer.write(b"tls\ninjected\n")
            assert await reader.readexactly(9) == b"hello\ngo\n"
            await writer.start_tls(client_context())
            assert await reader.readline() == b"secure\n"
            writer.write(b"inside\nbye\n")
            assert await reader.read() == b"inside\ngood bye\n"
            await world.closed.get()

    run(main())


def test_a_failed_handshake_closes_and_is_counted_out(run: Run) -> None:
    async def main() -> None:
        async with serving(tls=certificate()) as (server, world):
            reader, writer = await connect(server)
            writer.write(b"tls\n")
            assert await reader.readexactly(9) == b"hello\ngo\n"
            writer.write(b"this is not TLS\n" * 10)
            await reader.read()
            await world.closed.get()
            assert len(server.connections) == 0

    run(main())


@pytest.mark.parametrize("lost_first", [True, False])
def test_a_client_gone_when_the_handshake_begins_is_counted_out(run: Run, lost_first: bool) -> None:
    async def main() -> None:
        async with serving(tls=certificate()) as (server, world):
            reader, writer = await connect(server)
            assert await reader.readline() == b"hello\n"
            (connection,) = server.connections
            if lost_first:  # the loop says so before the handshake's task has its first turn
                connection._wire.abort()
            connection.data_received(b"tls\n")
            connection._wire.abort()
            await world.closed.get()
            assert len(server.connections) == 0
            await turns(5)
            assert world.closed.empty()
            writer.close()

    run(main())


class Deaf(World):
    """Its answers do not end when they are told to."""

    def make(self, peer: Peer, notify: Notify) -> Answers:
        world = self

        class Answering(Answers):
            async def answer(self, request: object, send: SendBytes) -> object:
                world.asked.put_nowait(b"asked")
                with contextlib.suppress(asyncio.CancelledError):
                    await world.gate.wait()
                await world.gate.wait()
                return b"late\n"

        return Answering(self, peer)


@pytest.mark.parametrize("gone", [True, False])
def test_an_answer_that_never_ends_does_not_keep_the_place(run: Run, gone: bool) -> None:
    async def main() -> None:
        limits = Limits(sweep_seconds=0.01, answer_seconds=0.02)
        async with serving(limits, world=Deaf()) as (server, world):
            _, writer = await connect(server)
            writer.write(b"ask\n")
            await world.asked.get()
            if gone:
                writer.transport.abort()
            await until(lambda: not len(server.connections))
            assert world.closed.empty(), "the answer still runs"
            world.gate.set()
            await world.closed.get()
            writer.close()

    run(main())


def test_an_answer_that_never_ends_does_not_keep_the_server(run: Run) -> None:
    async def main() -> None:
        async with serving(Limits(abort_seconds=0.01), world=Deaf()) as (server, world):
            _, writer = await connect(server)
            writer.write(b"ask\n")
            await world.asked.get()
            await server.stop(0)
            world.gate.set()
            writer.close()

    run(main())


def test_a_handshake_that_goes_no_further_ends_at_its_deadline(run: Run) -> None:
    async def main() -> None:
        async with serving(tls=certificate()) as (server, world):
            reader, writer = await connect(server)
            writer.write(b"tls\n")
            assert await reader.readexactly(9) == b"hello\ngo\n"
            (connection,) = server.connections
            writer.write(client_hello()[:20])
            await until(lambda: connection._wire.tls is not None and connection._wire.tls.heard)
            assert connection.deadline < asyncio.get_running_loop().time() + 60
            connection.expire()
            assert len(server.connections) == 0
            await world.closed.get()
            writer.close()

    run(main())


STAGES = (
    b"",
    b"half a li",
    b"line\n",
    b"ask wait\n",
    b"ask error\n",
    b"flood\n",
    b"tls\n",
    b"tls\nno TLS",
    b"bye\n",
    b"boom\n",
)


async def reset_at_some_stage(server: Server, chance: random.Random) -> None:
    """A client that goes without a good-bye."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await loop.sock_connect(client, ("127.0.0.1", server.ports[0]))
        for words in chance.choices(STAGES, k=chance.randrange(3)):
            with contextlib.suppress(OSError):
                await loop.sock_sendall(client, words)
            await turns(chance.choice((0, 0, 1, 2, 3, 20)))
        if chance.random() < 0.3:
            hello = client_hello()
            with contextlib.suppress(OSError):
                await loop.sock_sendall(client, hello[: chance.randrange(len(hello))])
            await turns(chance.randrange(10))


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_resets_at_every_stage_leave_nobody_counted(
    run: Run, seed: int, implicit: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        async with serving(tls=certificate(), implicit=implicit) as (server, world):
            for _ in range(10):
                await asyncio.gather(*(reset_at_some_stage(server, chance) for _ in range(20)))
            world.gate.set()
            await until(lambda: not len(server.connections))
            assert server.admission.empty

    run(main())


def test_implicit_tls_and_a_client_that_never_shakes_hands(run: Run) -> None:
    async def main() -> None:
        limits = Limits(handshake_seconds=1)
        async with serving(limits, tls=certificate(), implicit=True) as (server, world):
            mute, _ = await connect(server)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.ports[0], ssl=client_context())
            assert await reader.readline() == b"hello tls\n"
            writer.write(b"bye\n")
            assert await reader.read() == b"good bye\n"
            assert await mute.read() == b""
            await world.closed.get()
            await until(lambda: not len(server.connections))

    run(main())


def test_failed_handshakes_by_the_hundred_disturb_nobody(run: Run) -> None:
    async def main() -> None:
        async with serving(tls=certificate(), implicit=True) as (server, _):
            port = server.ports[0]
            good = [await asyncio.open_connection("127.0.0.1", port, ssl=client_context()) for _ in range(5)]
            bad = [await connect(server) for _ in range(100)]
            for number, (_, writer) in enumerate(bad):
                writer.write(b"no TLS\n" * 100)
                if number % 2:
                    writer.close()
            for reader, _ in bad[::2]:
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
            for reader, writer in good:
                writer.write(b"still\nbye\n")
                assert await reader.read() == b"hello tls\nstill\ngood bye\n"
            await until(lambda: not len(server.connections))

    run(main())


def test_two_hundred_idle_connections_cost_no_task(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            before = len(asyncio.all_tasks())
            clients = [socket.create_connection(("127.0.0.1", server.ports[0])) for _ in range(200)]
            # Those of asyncio's own accepting end by themselves; the surrounding wait_for limits the wait.
            await until(lambda: len(server.connections) == 200 and len(asyncio.all_tasks()) == before)
            for client in clients:
                client.close()
            await until(lambda: not len(server.connections))

    run(main())


def test_a_certificate_is_read_again_and_a_broken_one_does_not_replace_it(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    assert not tls.available
    with pytest.raises(TlsUnavailable):
        tls.context()
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_bytes((CERTIFICATES / name).read_bytes())
    first = tls.context()
    assert tls.context() is first
    (tmp_path / "cert.pem").write_text("half written")
    assert tls.context() is first
    (tmp_path / "cert.pem").write_bytes((CERTIFICATES / "cert.pem").read_bytes())
    assert tls.context() is not first


def test_listeners_are_read_from_the_environment() -> None:
    assert parse_listeners("0.0.0.0:110, [::1]:2110,127.0.0.1:995,127.0.0.1:2995/tls,1.2.3.4:465/plain") == (
        Listener(host="0.0.0.0", port=110),
        Listener(host="::1", port=2110),
        Listener(host="127.0.0.1", port=995, tls=True),
        Listener(host="127.0.0.1", port=2995, tls=True),
        Listener(host="1.2.3.4", port=465),
    )


@pytest.mark.parametrize("text", ["110", "host:", "host:99999", "host:110/ssl", "host:-1"])
def test_a_listener_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a listener"):
        parse_listeners(text)
