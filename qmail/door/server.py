"""The one server loop: listen, limit, drive sessions, time out, stop gracefully.

Every door (smtpd, pop3, imap) gives it a session factory (pure) and a handler factory (I/O). Idle connections
cost no task and no timer of their own: one sweep a second looks at all deadlines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from qmail.door.certificate import ServerTls, TlsUnavailable
from qmail.door.connection import Connection
from qmail.door.session import Handler, Notify, Peer, Session

_log = logging.getLogger(__name__)

MakeSession: TypeAlias = Callable[[], Session]
MakeHandler: TypeAlias = Callable[[Peer, Notify], Handler]

#: Ports on which TLS begins with the first byte unless a listener says otherwise (RFC 8314 section 3).
IMPLICIT_TLS_PORTS = frozenset({465, 993, 995})

#: One busy TLS port must not keep the loop from its sessions.
ACCEPTS_PER_TURN = 64
#: A client that says nothing is asked by TCP whether its machine is still there; accepted sockets inherit this.
KEEPALIVE_SECONDS = 600
ACCEPT_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """An address to listen on. Port 0: any free one."""

    host: str
    port: int
    tls: bool = False


def parse_listeners(text: str) -> tuple[Listener, ...]:
    """`0.0.0.0:110,[::1]:2110,0.0.0.0:2995/tls`; ports 465, 993 and 995 are `/tls` unless `/plain` is said.

    Raises ValueError.
    """
    return tuple(_parse_listener(item.strip()) for item in text.split(",") if item.strip())


def _parse_listener(item: str) -> Listener:
    address, _, mode = item.partition("/")
    host, colon, number = address.rpartition(":")
    if not colon or not number.isdecimal() or int(number) > 65535 or mode not in ("", "tls", "plain"):
        raise ValueError(f"not a listener: {item!r}; expected host:port, host:port/tls or host:port/plain")
    tls = mode == "tls" or (mode == "" and int(number) in IMPLICIT_TLS_PORTS)
    return Listener(host=host.strip("[]"), port=int(number), tls=tls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what clients may take. `refusal` is written (plain-text ports only) to one above a limit."""

    connections: int = 1000
    connections_per_ip: int = 100
    refusal: bytes = b""
    backlog: int = 511
    #: Client bytes kept while an answer is awaited; beyond it the socket is not read.
    held_bytes: int = 65536
    handshake_seconds: float = 30.0
    #: How long one answer may take, from its last word to the client on. Longer than any that is of use.
    answer_seconds: float = 3600.0
    #: How long a closed connection may take to accept its last bytes.
    linger_seconds: float = 30.0
    #: How long sessions may go on after TERM.
    grace_seconds: float = 50.0
    #: How long what was cut off then may take to end.
    abort_seconds: float = 5.0
    sweep_seconds: float = 1.0


@dataclass(slots=True)
class _Census:
    """Who is connected, and from where."""

    connections: dict[Connection, str] = field(default_factory=dict)
    per_ip: Counter[str] = field(default_factory=Counter)


class Server:
    """One process' listeners and their connections. Call from inside a running loop."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        make_session: MakeSession,
        make_handler: MakeHandler,
        limits: Limits | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.make_session = make_session
        self.make_handler = make_handler
        self.tls = tls
        self.stopping = False
        self._listeners = tuple(listeners)
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._acceptors: list[TlsAcceptor] = []
        self._census = _Census()
        self._empty = asyncio.Event()
        self._empty.set()
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def ports(self) -> tuple[int, ...]:
        """The bound port of each listener, in order."""
        return tuple(sock.getsockname()[1] for sock in self._sockets)

    @property
    def connected(self) -> int:
        """How many connections there are now."""
        return len(self._census.connections)

    async def start(self) -> None:
        """Bind and listen. Raises OSError (address in use, no right to the port); nothing stays bound."""
        with _closing_on_error(self._sockets):
            self._sockets.extend(bind(listener) for listener in self._listeners)
        loop = asyncio.get_running_loop()
        for listener, sock in zip(self._listeners, self._sockets, strict=True):
            if listener.tls:
                self._acceptors.append(TlsAcceptor(sock, self._take_tls, self.limits.backlog))
            else:
                make = partial(Connection, self)
                self._servers.append(await loop.create_server(make, sock=sock, backlog=self.limits.backlog))
        self._plan_sweep()

    async def stop(self, grace_seconds: float | None = None) -> None:
        """No new connections; sessions end at their next idle moment; after the grace the rest is cut off."""
        grace = self.limits.grace_seconds if grace_seconds is None else grace_seconds
        self.stopping = True
        self._close_listeners()
        for connection in tuple(self._census.connections):
            connection.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        for connection in tuple(self._census.connections):
            connection.abort()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), self.limits.abort_seconds)
        if self._sweep is not None:
            self._sweep.cancel()

    def admit(self, connection: Connection, ip: str) -> bool:
        """Count a new connection in, unless that would pass a limit."""
        census = self._census
        full = len(census.connections) >= self.limits.connections
        if self.stopping or full or census.per_ip[ip] >= self.limits.connections_per_ip:
            if not census.per_ip[ip]:
                del census.per_ip[ip]
            return False
        census.connections[connection] = ip
        census.per_ip[ip] += 1
        self._empty.clear()
        return True

    def leave(self, connection: Connection) -> None:
        """Count an admitted connection out, once: when it has ended, or when it is given up while something of it
        still hangs."""
        census = self._census
        ip = census.connections.pop(connection, None)
        if ip is None:
            return
        census.per_ip[ip] -= 1
        if not census.per_ip[ip]:
            del census.per_ip[ip]
        if not census.connections:
            self._empty.set()

    def tls_context(self) -> ssl.SSLContext:
        """For the next handshake. Raises TlsUnavailable."""
        if self.tls is None:
            raise TlsUnavailable("no certificate was given to the server")
        return self.tls.context()

    def _take_tls(self, sock: socket.socket) -> None:
        Connection(self).accept_tls(sock)

    def _close_listeners(self) -> None:
        for server in self._servers:
            server.close()
        for acceptor in self._acceptors:
            acceptor.close()

    def _plan_sweep(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(self.limits.sweep_seconds, self._sweep_deadlines)

    def _sweep_deadlines(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in [late for late in self._census.connections if late.deadline <= now]:
            connection.expire()
        self._plan_sweep()


class TlsAcceptor:
    """Listens on a port where TLS comes first.

    asyncio's own servers show a connection after its handshake; here `take` is given the accepted socket, so that
    who does not shake hands is counted as well. `take` may raise OSError for a client that is gone already."""

    def __init__(self, listening: socket.socket, take: Callable[[socket.socket], None], backlog: int) -> None:
        self._listening = listening
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        listening.listen(backlog)
        self._resume()

    def close(self) -> None:
        if self._listening.fileno() < 0:
            return
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def _resume(self) -> None:
        self._retry = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, _address = self._listening.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._pause(error)
                return
            sock.setblocking(False)
            try:
                self._take(sock)
            except OSError:
                sock.close()

    def _pause(self, error: OSError) -> None:
        """Out of descriptors or memory: those in service may leave some; the kernel keeps who waits."""
        _log.warning("accept: %s", error)
        self._loop.remove_reader(self._listening)
        self._retry = self._loop.call_later(ACCEPT_RETRY_SECONDS, self._resume)


def bind(listener: Listener) -> socket.socket:
    """A socket bound to this address, not listening yet. Raises OSError."""
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    with _closing_on_error([sock]):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((listener.host, listener.port))
        sock.setblocking(False)
    return sock


@contextlib.contextmanager
def _closing_on_error(sockets: list[socket.socket]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for sock in sockets:
            sock.close()
        raise


async def serve(
    listeners: Sequence[Listener],
    make_session: MakeSession,
    make_handler: MakeHandler,
    limits: Limits | None = None,
    *,
    tls: ServerTls | None = None,
    on_ready: Callable[[Server], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then stop gracefully. Raises OSError when a listener cannot be bound."""
    server = Server(listeners, make_session, make_handler, limits, tls)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await server.start()
    if on_ready is not None:
        on_ready(server)
    await told.wait()
    await server.stop()
