"""Whoever is admitted is counted out again, whatever happens to the connection; on asyncio's loop and on uvloop's."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import uvloop

from qmail.door.admission import Admission
from qmail.door.connection import Connection
from qmail.door.server import Server
from qmail.log.log import Log
from qmail.message.ids import IdSource
from qmail.queue.put import Submitter
from services.smtpd.desk import Desk
from services.smtpd.door import LIMITS, Door
from services.smtpd.plugin import Plugin
from services.smtpd.settings import DOORS, read_settings
from tests.support.memory_bus import MemoryBus

CERTIFICATES = Path(__file__).parents[1] / "door" / "certificates"
PLAIN, TLS, SUBMISSION = 0, 1, 2
HALF_A_MESSAGE = b"MAIL FROM:<a@b>\r\nRCPT TO:<joni@xeris.com>\r\nDATA\r\nSubject: half\r\n\r\n"

Main = Callable[[Coroutine[Any, Any, None]], None]


class Silent(Log):
    def line(self, text: str) -> None:
        pass


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Main:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def runner(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(asyncio.wait_for(main, 10))

    return runner


@pytest.fixture
def directory(directory: Path) -> Path:
    """With a certificate, and room for many."""
    shutil.copytree(CERTIFICATES, directory / "tls")
    for name in ("concurrencyincoming", "concurrencyperip"):
        (directory / "control" / name).write_text("300\n")
    return directory


@asynccontextmanager
async def opened(directory: Path, handler: object = None) -> AsyncIterator[tuple[Server, Admission]]:
    listen = {"SMTP_LISTEN": "127.0.0.1:0", "SUBMISSION_LISTEN": "127.0.0.1:0/tls,127.0.0.1:0"}
    settings = read_settings({"QMAIL_DIR": str(directory), **listen})
    bus, ids, admission = MemoryBus(), IdSource(), Admission(1, DOORS)
    ids.grant(1, 0, 2**62)
    admission.claim_row()
    plugin = None if handler is None else Plugin(handler)
    desk = Desk(bus, Submitter(bus, ids), uid=901)
    door = Door(settings, desk, Silent("qmail-smtpd"), admission, plugin).server(replace(LIMITS, sweep_seconds=0.01))
    await door.start()
    try:
        yield door, admission
    finally:
        await door.stop(0)


async def greeted(door: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Connection]:
    before = set(door.connections)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.ports[PLAIN])
    assert await reader.readline() == b"220 mail.xeris.com ESMTP\r\n"
    (connection,) = door.connections - before
    return reader, writer, connection


def reset_when_closed(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(probe: Callable[[], bool]) -> None:
    """Give the loop turns until it is so; the time limit is the runner's."""
    while not probe():  # noqa: ASYNC110
        await asyncio.sleep(0)


@pytest.mark.parametrize("lost_first", [True, False])
def test_a_client_gone_when_the_handshake_begins_is_counted_out(run: Main, directory: Path, lost_first: bool) -> None:
    async def main() -> None:
        async with opened(directory) as (door, admission):
            _, writer, connection = await greeted(door)
            if lost_first:  # the loop says so before the handshake's task has its first turn
                connection.abort()
            connection.data_received(b"STARTTLS\r\n")
            connection._wire.abort()
            await until(lambda: not door.connections)
            assert admission.empty
            writer.close()

    run(main())


class Deaf:
    """A plug-in that does not end when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()

    async def handle_HELO(self, server: Any, session: Any, envelope: Any, hostname: str) -> str:
        self.asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self.gate.wait()
        await self.gate.wait()
        return "250 late"


@pytest.mark.parametrize("gone", [True, False])
def test_an_answer_that_never_ends_does_not_keep_the_place(run: Main, directory: Path, gone: bool) -> None:
    async def main() -> None:
        plugin = Deaf()
        async with opened(directory, plugin) as (door, admission):
            _, writer, connection = await greeted(door)
            writer.write(b"HELO x\r\n")
            await plugin.asked.wait()
            if gone:
                reset_when_closed(writer.get_extra_info("socket"))
                writer.transport.abort()
                await until(lambda: connection._lost)
            assert connection.deadline < asyncio.get_running_loop().time() + 1000
            connection._bound = 0
            await until(lambda: not door.connections)
            assert admission.empty
            plugin.gate.set()
            await until(lambda: connection._task is None)
            assert admission.empty
            writer.close()

    run(main())


def test_a_question_cut_off_before_its_first_step_does_not_keep_the_place(run: Main, directory: Path) -> None:
    async def main() -> None:
        async with opened(directory) as (door, admission):
            _, writer, connection = await greeted(door)
            connection.data_received(b"MAIL FROM:<a@b>\r\n")
            connection.abort()
            await until(lambda: not door.connections)
            assert admission.empty
            writer.close()

    run(main())


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_who_does_not_shake_hands_where_tls_comes_first_is_counted(run: Main, directory: Path) -> None:
    async def main() -> None:
        (directory / "control" / "concurrencyincoming").write_text("3\n")
        async with opened(directory) as (door, admission):
            mute = [await asyncio.open_connection("127.0.0.1", door.ports[TLS]) for _ in range(3)]
            await until(lambda: admission.total("submission") == 3)
            for port in (TLS, SUBMISSION):
                reader, writer = await asyncio.open_connection("127.0.0.1", door.ports[port])
                assert (await reader.read())[:4] == (b"421 " if port == SUBMISSION else b"")
                writer.close()
            mute[0][1].close()
            await until(lambda: admission.total("submission") == 2)
            reader, writer = await asyncio.open_connection("127.0.0.1", door.ports[TLS], ssl=client_context())
            assert await reader.readline() == b"220 mail.xeris.com ESMTP\r\n"
            assert all(connection.deadline < asyncio.get_running_loop().time() + 400 for connection in door.connections)
            writer.close()
            for _, other in mute:
                other.close()
            await until(lambda: not door.connections)
            assert admission.empty

    run(main())


@pytest.mark.parametrize(("full", "free"), [(PLAIN, SUBMISSION), (SUBMISSION, PLAIN)])
def test_whoever_fills_one_door_takes_no_place_of_the_other(run: Main, directory: Path, full: int, free: int) -> None:
    async def main() -> None:
        (directory / "control" / "concurrencyincoming").write_text("3\n")
        async with opened(directory) as (door, _):
            idle = [await asyncio.open_connection("127.0.0.1", door.ports[full]) for _ in range(3)]
            for reader, _ in idle:
                assert (await reader.readline()).startswith(b"220 ")
            reader, _ = await asyncio.open_connection("127.0.0.1", door.ports[full])
            assert (await reader.readline()).startswith(b"421 ")
            reader, _ = await asyncio.open_connection("127.0.0.1", door.ports[free])
            assert (await reader.readline()).startswith(b"220 ")

    run(main())


def test_submission_may_have_a_number_of_places_of_its_own(run: Main, directory: Path) -> None:
    async def main() -> None:
        (directory / "control" / "concurrencysubmission").write_text("1\n")
        async with opened(directory) as (door, _):
            for port, answer in ((PLAIN, b"220 "), (PLAIN, b"220 "), (SUBMISSION, b"220 "), (SUBMISSION, b"421 ")):
                reader, _ = await asyncio.open_connection("127.0.0.1", door.ports[port])
                assert (await reader.readline()).startswith(answer)

    run(main())


@pytest.mark.parametrize("fault", ["no certificate", "denied by a rule"])
def test_who_is_turned_away_where_tls_comes_first_is_counted_out(run: Main, directory: Path, fault: str) -> None:
    async def main() -> None:
        if fault == "no certificate":
            shutil.rmtree(directory / "tls")
        else:
            (directory / "control" / "tcp.smtp").write_text("127.0.0.1:deny\n")
        async with opened(directory) as (door, admission):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.ports[TLS])
            assert await reader.read() == b""
            await until(lambda: not door.connections)
            assert admission.empty
            writer.close()

    run(main())


def test_the_end_does_not_wait_for_who_does_not_shake_hands(run: Main, directory: Path) -> None:
    async def main() -> None:
        async with opened(directory) as (door, admission):
            _, writer = await asyncio.open_connection("127.0.0.1", door.ports[TLS])
            await until(lambda: admission.total("submission") == 1)
            await asyncio.wait_for(door.stop(60), 5)
            assert admission.empty
            writer.close()

    run(main())


STAGES = (
    b"",
    b"EHLO",
    b"EHLO x\r\n",
    b"STARTTLS\r\n",
    b"STARTTLS\r\nno TLS",
    b"AUTH PLAIN AGEAYg==\r\n",
    b"MAIL FROM:<a@b>\r\n",
    HALF_A_MESSAGE,
    HALF_A_MESSAGE + b"x\r\n.\r\n",
    HALF_A_MESSAGE + (b"x" * 998 + b"\r\n") * 600,
    b"HELP\r\n" * 5000,
    b"QUIT\r\n",
)


@cache
def client_hello() -> bytes:
    """What a client says first in TLS."""
    written = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), written, server_hostname="x").do_handshake()
    return written.read()


async def reset_at_some_stage(port: int, chance: random.Random) -> None:
    """A client that goes without a good-bye."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        reset_when_closed(client)
        await loop.sock_connect(client, ("127.0.0.1", port))
        for words in chance.choices(STAGES, k=chance.randrange(3)):
            with contextlib.suppress(OSError):
                await loop.sock_sendall(client, words)
            await turns(chance.choice((0, 0, 1, 2, 3, 20)))
        if chance.random() < 0.3:
            hello = client_hello()
            with contextlib.suppress(OSError):
                await loop.sock_sendall(client, hello[: chance.randrange(len(hello))])
            await turns(chance.randrange(10))


@pytest.mark.parametrize("port", [PLAIN, TLS], ids=["plain", "tls"])
@pytest.mark.parametrize("seed", range(3))
def test_resets_at_every_stage_leave_nobody_counted(run: Main, directory: Path, seed: int, port: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        async with opened(directory) as (door, admission):
            for _ in range(5):
                clients = [reset_at_some_stage(door.ports[port], chance) for _ in range(20)]
                await asyncio.gather(*clients)
            await until(lambda: not door.connections)
            assert admission.empty

    run(main())
