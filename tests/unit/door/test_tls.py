"""TLS at the door: what a client hears whose handshake fails, what is written down, and both ends of a session."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable

import pytest

from qmail.door.limits import Limits
from qmail.door.server import Server
from tests.support.hall import (
    LogLines,
    Run,
    certificate,
    client_context,
    client_hello,
    connect,
    old_client,
    serving,
    until,
)

PIECES = (1, 7, 100_000)


class Client:
    """A client that speaks TLS by hand, so that every byte of the server is seen."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)

    async def open(self, server: Server, *, starttls: bool, piece: int = 100_000) -> None:
        """Connect and shake hands. Raises ssl.SSLError."""
        self.reader, self.writer = await connect(server)
        self.piece = piece
        if starttls:
            assert await self.reader.readline() == b"hello\n"
            self.writer.write(b"tls\n")
            assert await self.reader.readline() == b"go\n"
        await self.until_done(self.tls.do_handshake)

    async def until_done(self, step: Callable[[], object]) -> object:
        """Try again with what the server says, until it is done."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self.flush()
                data = await self.reader.read(self.piece)
                self.incoming.write(data) if data else self.incoming.write_eof()
            finally:
                await self.flush()

    async def flush(self) -> None:
        data = self.outgoing.read()
        for start in range(0, len(data), self.piece):
            self.writer.write(data[start : start + self.piece])
            await self.writer.drain()

    async def say(self, text: bytes) -> None:
        self.tls.write(text)
        await self.flush()

    async def hear(self) -> bytes:
        """The next piece of the server's words; empty after its close_notify."""
        try:
            said = await self.until_done(lambda: self.tls.read(65536))
        except ssl.SSLZeroReturnError:
            return b""
        assert isinstance(said, bytes)
        return said


def strict_client() -> ssl.SSLContext:
    """It does not know who has signed our certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


@pytest.mark.parametrize("starttls", [True, False], ids=["STARTTLS", "TLS"])
def test_an_old_client_is_told_by_an_alert_and_the_log_says_who_and_why(run: Run, starttls: bool) -> None:
    async def main() -> None:
        log = LogLines()
        async with serving(tls=certificate(), implicit=not starttls, log=log) as (server, world):
            with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
                await Client(old_client()).open(server, starttls=starttls)
            how = "STARTTLS" if starttls else "TLS"
            assert log.lines == [f"refused tls 127.0.0.1: {how} on {server.ports[0]}: unsupported protocol"]
            await world.closed.get()
            assert server.admission.empty

    run(main())


def test_a_client_that_does_not_trust_the_certificate_is_written_down_with_its_reason(run: Run) -> None:
    async def main() -> None:
        log = LogLines()
        async with serving(tls=certificate(), implicit=True, log=log) as (server, _):
            with pytest.raises(ssl.SSLCertVerificationError):
                await Client(strict_client()).open(server, starttls=False)
            await until(lambda: bool(log.lines))
            assert log.lines == [f"refused tls 127.0.0.1: TLS on {server.ports[0]}: tlsv1 alert unknown ca"]

    run(main())


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (b"", []),
        (b"GET / HTTP/1.1\r\n\r\n", ["http request"]),
        (client_hello()[:50], ["the client hung up"]),
    ],
    ids=["a look whether the port is open", "HTTP", "half a hello"],
)
def test_what_is_no_handshake_is_one_line_and_a_look_at_the_port_is_none(
    run: Run, said: bytes, lines: list[str]
) -> None:
    async def main() -> None:
        log = LogLines()
        async with serving(tls=certificate(), implicit=True, log=log) as (server, world):
            _, writer = await connect(server)
            writer.write(said)
            writer.close()
            await world.closed.get()
            start = f"refused tls 127.0.0.1: TLS on {server.ports[0]}: "
            assert log.lines == [start + line for line in lines]

    run(main())


def test_who_never_ends_the_handshake_is_written_down(run: Run) -> None:
    async def main() -> None:
        log, limits = LogLines(), Limits(handshake_seconds=0.01, sweep_seconds=0.01)
        async with serving(limits, tls=certificate(), implicit=True, log=log) as (server, world):
            _, writer = await connect(server)
            writer.write(client_hello()[:50])
            await world.closed.get()
            assert log.lines == [f"refused tls 127.0.0.1: TLS on {server.ports[0]}: no handshake within 0 s"]
            writer.close()

    run(main())


def test_without_a_certificate_a_tls_port_closes_and_says_so_in_the_log(run: Run) -> None:
    async def main() -> None:
        log = LogLines()
        async with serving(implicit=True, log=log) as (server, world):
            reader, _ = await connect(server)
            assert await reader.read() == b""
            await world.closed.get()
            why = "no certificate was given to the server"
            assert log.lines == [f"refused tls 127.0.0.1: TLS on {server.ports[0]}: {why}"]

    run(main())


@pytest.mark.parametrize("starttls", [True, False], ids=["STARTTLS", "TLS"])
@pytest.mark.parametrize("piece", PIECES)
def test_a_session_in_any_cut_of_its_bytes(run: Run, starttls: bool, piece: int) -> None:
    async def main() -> None:
        async with serving(tls=certificate(), implicit=not starttls) as (server, world):
            client = Client(client_context())
            await client.open(server, starttls=starttls, piece=piece)
            assert await client.hear() == (b"secure\n" if starttls else b"hello tls\n")
            await client.say(b"one\ntwo\nbye\n")
            assert await client.hear() == b"one\ntwo\ngood bye\n"
            assert await client.hear() == b"", "close_notify came before the end"
            await world.closed.get()

    run(main())


def test_a_client_that_ends_its_side_of_tls_still_gets_its_answers(run: Run) -> None:
    async def main() -> None:
        async with serving(tls=certificate(), implicit=True) as (server, world):
            client = Client(client_context())
            await client.open(server, starttls=False)
            await client.say(b"ask wait\nthree\n")
            with contextlib.suppress(ssl.SSLWantReadError):
                client.tls.unwrap()
            await client.flush()
            await world.asked.get()
            world.gate.set()
            said = b""
            while piece := await client.hear():
                said += piece
            assert said == b"hello tls\nanswer to ask wait\nthree\nend\n"
            await world.closed.get()

    run(main())


def test_a_slow_reader_gets_everything_through_tls(run: Run) -> None:
    async def main() -> None:
        async with serving(tls=certificate(), implicit=True) as (server, _):
            # By hand: uvloop's own TLS client loses what it has not read when the end comes.
            client = Client(client_context())
            await client.open(server, starttls=False)
            await client.say(b"flood\nbye\n")
            count, last = 0, b""
            while piece := await client.hear():
                count, last = count + len(piece), last[-100:] + piece
            assert count == len(b"hello tls\nanswer to flood\ngood bye\n") + 65536 * 1000
            assert last.endswith(b"\0answer to flood\ngood bye\n")

    run(main())


def test_a_client_that_leaves_is_no_warning_of_the_event_loop(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving(tls=certificate(), implicit=True) as (server, world):
            for _ in range(3):
                _, writer = await asyncio.open_connection("127.0.0.1", server.ports[0], ssl=client_context())
                writer.close()
                await world.closed.get()

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
