"""A door with a small line protocol behind it, on real loopback sockets: what the driver does is seen with it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from qmail.door.admission import Admitted, Budget
from qmail.door.certificate import ServerTls
from qmail.door.limits import Limits, Patience
from qmail.door.listeners import Listener
from qmail.door.server import Server
from qmail.door.session import Ask, Close, Effect, Notify, Peer, Send, SendBytes, StartTls, Stopping, Visitor
from qmail.log.log import Log
from qmail.log.notices import Notices

Run: TypeAlias = Callable[[Awaitable[None]], None]

CERTIFICATES = Path(__file__).parents[1] / "unit" / "door" / "certificates"
ROOM_ENOUGH = Budget(300, 300)


def certificate(directory: Path = CERTIFICATES) -> ServerTls:
    return ServerTls(directory, Notices(lambda line: None))


class Lines:
    """Answers each line with itself; `ask X`, `flood`, `tls`, `boom`, `bye` do what they say."""

    timeout_seconds = 60.0
    patience: Patience | None = None
    accomplished = 0

    def __init__(self) -> None:
        self.buffer = b""
        self.asking = False

    def connected(self, peer: Peer) -> Sequence[Effect]:
        return [Send(b"hello tls\n" if peer.tls else b"hello\n")]

    def received(self, data: bytes) -> Sequence[Effect]:
        assert not self.asking, "input while an answer is awaited"
        self.buffer += data
        return self.turn()

    def turn(self) -> Sequence[Effect]:
        effects: list[Effect] = []
        while b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            if line == b"boom":
                raise RuntimeError("boom")
            if line == b"bye":
                return [*effects, Send(b"good bye\n"), Close(asked=True)]
            if line == b"tls":
                self.buffer = b""
                return [*effects, Send(b"go\n"), StartTls()]
            if line.startswith((b"ask", b"flood")):
                self.asking = True
                return [*effects, Ask(line)]
            effects.append(Send(line + b"\n"))
        return effects

    def answered(self, answer: object) -> Sequence[Effect]:
        self.asking = False
        assert isinstance(answer, bytes)
        return [Send(answer), *self.turn()]

    def failed(self, error: BaseException) -> Sequence[Effect]:
        self.asking = False
        return [Send(b"failed %s\n" % type(error).__name__.encode()), *self.turn()]

    def notified(self, event: object) -> Sequence[Effect]:
        assert not self.asking, "event while an answer is awaited"
        if isinstance(event, Stopping):
            return () if self.buffer else [Send(b"stopping\n"), Close()]
        return [Send(b"event %s\n" % str(event).encode())]

    def tls_started(self) -> Sequence[Effect]:
        return [Send(b"secure\n")]

    def timed_out(self) -> Sequence[Effect]:
        return [Send(b"too slow\n")]

    def eof(self) -> Sequence[Effect]:
        return [Send(b"end\n")]


@dataclass
class World:
    """What the handlers share with the test."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    closed: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    notifiers: list[Notify] = field(default_factory=list)
    sent_bytes: int = 0
    cancelled: int = 0

    def make(self, peer: Peer, notify: Notify) -> Answers:
        self.notifiers.append(notify)
        return Answers(self, peer)


class Answers:
    def __init__(self, world: World, peer: Peer) -> None:
        self.world = world
        self.peer = peer

    async def answer(self, request: object, send: SendBytes) -> object:
        assert isinstance(request, bytes)
        self.world.asked.put_nowait(request)
        try:
            if request == b"ask wait":
                await self.world.gate.wait()
            if request == b"ask error":
                raise ConnectionRefusedError("bus down")
            if request == b"flood":
                for _ in range(1000):
                    await send(bytes(65536))
                    self.world.sent_bytes += 65536
        except asyncio.CancelledError:
            self.world.cancelled += 1
            raise
        return b"answer to " + request + b"\n"

    def closed(self) -> None:
        self.world.closed.put_nowait(self.peer.ip)


class LogLines(Log):
    """Keeps the lines instead of writing them."""

    def __init__(self) -> None:
        super().__init__("door")
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


class Hall:
    """The reception: everybody is given the same kind of session."""

    name = "hall"
    refusals = dict.fromkeys(Admitted, b"full\n")

    def __init__(self, session: Callable[[], Any], world: World, budget: Budget) -> None:
        self._session, self._world, self._budget = session, world, budget

    def budget(self, peer: Peer) -> Budget:
        return self._budget

    def enter(self, peer: Peer, visitor: Visitor) -> tuple[Any, Answers]:
        return self._session(), self._world.make(peer, visitor.notify)

    def left(self, peer: Peer, session: object) -> None:
        pass


@asynccontextmanager
async def serving(
    limits: Limits | None = None,
    session: Callable[[], Any] = Lines,
    tls: ServerTls | None = None,
    implicit: bool = False,
    world: World | None = None,
    budget: Budget = ROOM_ENOUGH,
    log: Log | None = None,
) -> AsyncIterator[tuple[Server, World]]:
    world = world or World()
    listener = Listener(host="127.0.0.1", port=0, tls=implicit)
    limits = limits or Limits(sweep_seconds=0.01, hang_up_seconds=0.05)
    server = Server([listener], Hall(session, world, budget), log or LogLines(), limits, tls)
    await server.start()
    try:
        yield server, world
    finally:
        await server.stop(0)


async def connect(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.ports[0])


async def until(probe: Callable[[], bool]) -> None:
    """Give the loop turns until it is so; the time limit is the runner's."""
    while not probe():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def old_client() -> ssl.SSLContext:
    """TLS 1.0, as a printer of 2009 speaks it."""
    context = client_context()
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@cache
def client_hello() -> bytes:
    """What a client says first in TLS."""
    written = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client_context().wrap_bio(ssl.MemoryBIO(), written).do_handshake()
    return written.read()


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
