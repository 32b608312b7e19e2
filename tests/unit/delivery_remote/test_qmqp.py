"""Mail by QMQP: the servers in turn, what each answer means, and no second server once one may have the message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from qmail.message.address import Address
from qmail.message.qmqp import netstring
from services.delivery.remote.qmqp import send
from services.delivery.remote.wire import open_wire

TEXT = b"Subject: x\n\n.a dot\nno end"
REQUEST = netstring(b"".join(map(netstring, (TEXT, b"ari@xeris.com", b"a@far.org", b"b@far.org"))))
ADDRESSES = Address(b"ari@xeris.com"), [Address(b"a@far.org"), Address(b"b@far.org")]

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(answer: bytes, seen: list[bytes]) -> Serve:
    """A server that reads a whole request, then answers and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(len(REQUEST)))
        writer.write(answer)
        writer.close()

    return serve


def deliver(*serves: Serve, dead: int = 0) -> tuple[list[bytes], list[int]]:
    """The report, and when `before_end` was called; the first servers are where nobody listens."""

    async def chunks() -> AsyncIterator[bytes]:
        yield TEXT[:5]
        yield TEXT[5:]

    async def run() -> tuple[list[bytes], list[int]]:
        servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for serve in serves]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        ended: list[int] = []
        places = [("127.0.0.1", 1)] * dead + [("127.0.0.1", port) for port in ports]
        report = await send(open_wire, places, ADDRESSES, len(TEXT), chunks, lambda: ended.append(1))
        for server in servers:
            server.close()
        return report, ended

    return asyncio.run(run())


def test_the_first_server_that_is_there_takes_it_for_every_recipient() -> None:
    seen: list[bytes] = []
    report, ended = deliver(answering(netstring(b"Kok 1 qp 2"), seen), dead=1)
    assert seen == [REQUEST] and ended == [1]
    assert report == [b"r", b"r", b"K127.0.0.1 accepted message.\nRemote host said: ok 1 qp 2\n"]


def test_a_refusal_is_final_and_a_doubt_is_not() -> None:
    for letter in (b"D", b"Z"):
        report, _ = deliver(answering(netstring(letter + b"no"), []))
        said = b"Connected to 127.0.0.1 but the message was not taken.\nRemote host said: no\n"
        assert report == [letter + said]


def test_a_server_that_has_it_all_and_says_nothing_is_the_last_that_is_asked() -> None:
    seen: list[bytes] = []
    report, _ = deliver(answering(b"", seen), answering(netstring(b"Kok"), seen))
    assert report == [b"ZConnected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n"]
    assert seen == [REQUEST]
    report, _ = deliver(answering(b"what?", []))
    assert report[0].startswith(b"Z")


def test_nobody_there() -> None:
    assert deliver(dead=2)[0][0].startswith(b"ZSorry, none of the QMQP servers")
