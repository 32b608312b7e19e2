"""One accepted connection: bytes to its session, effects to the socket, questions to its handler."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from qmail.door.session import Ask, Close, Effect, Handler, Peer, Send, Session, Stopping

if TYPE_CHECKING:
    from qmail.door.server import Server

_log = logging.getLogger(__name__)

Step: TypeAlias = Callable[[], Sequence[Effect]]

#: Events kept for a session while it awaits an answer. Handlers notify "look again", not the news itself,
#: so equal events are kept once and more than this many different ones do not occur.
HELD_EVENTS = 64
#: The handshake's own limit ends it; where the loop forgets it, as for a transport that was lost, the deadline does.
HANDSHAKE_MARGIN_SECONDS = 5.0


class Connection(asyncio.Protocol):
    """Driven by asyncio. Created, counted and swept by `Server`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._peer = Peer("", 0, "", 0, False)
        self._session: Session
        self._handler: Handler | None = None
        #: Loop time at which `Server` calls `expire`. Never infinite: whatever this connection waits for, and whatever
        #: event is lost or comes out of turn, its place is free again after that.
        self.deadline = self._loop.time() + server.limits.linger_seconds
        #: When the client last did something: said a word, took what was written, had its answer. Events do not count,
        #: or a client that has vanished in IDLE would be kept for ever.
        self._heard = self._loop.time()
        self._for_client = True
        self._held = bytearray()
        self._events: list[object] = []
        self._task: asyncio.Task[Any] | None = None
        self._asking = False
        self._securing = False
        self._reading = True
        self._writable: asyncio.Future[None] | None = None
        self._writing_paused = False
        self._eof_seen = False
        self._eof_told = False
        self._admitted = False
        self._finished = False
        self._lost = False

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._heard = self._loop.time()
        if self._admitted:
            self._securing = False
            self._greet()
            return
        ip, port = (transport.get_extra_info("peername") or ("", 0))[:2]
        local_ip, local_port = (transport.get_extra_info("sockname") or ("", 0))[:2]
        self._peer = Peer(ip, port, local_ip, local_port, False)
        self._admitted = self._server.admit(self, ip)
        if self._admitted:
            self._greet()
        else:
            self._finished = True
            self._transport.write(self._server.limits.refusal)
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._finished or self._lost:
            return
        self._heard = self._loop.time()
        if not (self._busy or self._held):
            self._for_client = True
            self._advance(partial(self._session.received, data))
            return
        self._held += data
        if len(self._held) > self._server.limits.held_bytes:
            self._pause_reading()

    def eof_received(self) -> bool:
        """A client may shut its sending side and still read answers: keep a plain connection half open."""
        if self._finished or self._lost or self._securing:
            return False
        self._eof_seen = True
        if not self._busy:
            self._advance(None)
        return not self._peer.tls

    def pause_writing(self) -> None:
        self._writing_paused = True
        self._heard = self._loop.time()
        self._set_deadline()

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._heard = self._loop.time()
        self._release_writer()
        if self._finished or self._lost:
            return
        self._advance(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._release_writer()
        if self._asking:
            self.deadline = self._loop.time() + self._server.limits.answer_seconds
        elif not self._securing:
            self._leave()

    # --- what Server calls ---

    def accept_tls(self, sock: socket.socket) -> None:
        """Take a socket on which TLS begins at once. It counts as a connection from now on."""
        ip, port = sock.getpeername()[:2]
        local_ip, local_port = sock.getsockname()[:2]
        self._peer = Peer(ip, port, local_ip, local_port, True)
        self._admitted = self._server.admit(self, ip)
        if not self._admitted:
            sock.close()
            return
        self._begin_securing()
        self._task = self._loop.create_task(self._handshake_first(sock))
        self._task.add_done_callback(self._secured_first)

    def expire(self) -> None:
        """The deadline has passed. Where there is nothing to be said the place is free at once, whether or not the
        transport and the task heed being cut off."""
        if self._finished or self._lost or self._busy or not self._carry_out(self._session.timed_out):
            self.abort()
            self._server.leave(self)
        else:
            self._finish()

    def stop(self) -> None:
        """The server ends: let the session say good-bye if it is idle."""
        if not (self._busy or self._finished):
            self._advance(None)

    def abort(self) -> None:
        """Cut the connection off, whatever it does."""
        if self._task is not None:
            self._task.cancel()
        self._abort_transport()

    # --- the turns of a session ---

    @property
    def _busy(self) -> bool:
        """Whether input has to wait."""
        return self._asking or self._securing or self._writing_paused

    def _greet(self) -> None:
        try:
            self._session = self._server.make_session()
            self._handler = self._server.make_handler(self._peer, self._notify)
        except Exception:
            self._fail()
            return
        self._advance(partial(self._session.connected, self._peer))

    def _advance(self, step: Step | None) -> None:
        """Do this step and all that was held back, as far as nothing has to be waited for."""
        step = step or self._next_step()
        while step is not None:
            if not self._carry_out(step):
                self._fail()
                return
            step = self._next_step()
        if self._server.stopping and not (self._busy or self._finished):
            self._carry_out(partial(self._session.notified, Stopping()))
        if self._eof_told and not self._busy:
            self._finish()
        self._set_deadline()

    def _next_step(self) -> Step | None:
        if self._busy or self._finished or self._lost:
            return None
        if self._events:
            self._for_client = False
            return partial(self._session.notified, self._events.pop(0))
        if self._held:
            data = bytes(self._held)
            self._held.clear()
            self._resume_reading()
            self._for_client = True
            return partial(self._session.received, data)
        self._resume_reading()
        if self._eof_seen and not self._eof_told:
            self._eof_told = True
            return self._session.eof
        return None

    def _carry_out(self, step: Step) -> bool:
        """Do a step and its effects. False: the session raised; that was logged."""
        try:
            effects = step()
        except Exception:
            _log.exception("session of %s failed", self._peer.ip)
            return False
        waiting: list[bytes] = []
        for effect in effects:
            if isinstance(effect, Send):
                waiting.append(effect.data)
                continue
            self._write(waiting)
            if isinstance(effect, Close):
                self._finish()
                return True
            if isinstance(effect, Ask):
                self._ask(effect.request)
            else:
                self._secure()
        self._write(waiting)
        return True

    def _write(self, waiting: list[bytes]) -> None:
        transport = self._open_transport
        if waiting and transport is not None and not self._finished:
            transport.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
        waiting.clear()

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        self._held.clear()
        self.deadline = self._loop.time() + self._server.limits.linger_seconds
        if self._transport is not None:
            self._transport.close()

    def _fail(self) -> None:
        if not hasattr(self, "_session"):
            _log.exception("no session for %s", self._peer.ip)
        self._finish()

    def _set_deadline(self) -> None:
        if self._finished or self._lost or self._securing or not self._admitted:
            return
        if self._asking and not self._writing_paused:
            self.deadline = self._loop.time() + self._server.limits.answer_seconds
        else:
            self.deadline = self._heard + self._session.timeout_seconds

    def _pause_reading(self) -> None:
        if self._reading and (transport := self._open_transport) is not None:
            self._reading = False
            transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading and (transport := self._open_transport) is not None:
            self._reading = True
            transport.resume_reading()

    @property
    def _open_transport(self) -> asyncio.Transport | None:
        transport = self._transport
        return None if self._lost or transport is None or transport.is_closing() else transport

    def _abort_transport(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _notify(self, event: object) -> None:
        """Given to the handler. Called in the loop's thread."""
        if self._finished or self._lost or event in self._events or len(self._events) >= HELD_EVENTS:
            return
        self._events.append(event)
        if not self._busy:
            self._advance(None)

    # --- questions ---

    def _ask(self, request: object) -> None:
        assert self._handler is not None
        self._asking = True
        self._task = self._loop.create_task(self._handler.answer(request, self._send))
        self._task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[Any]) -> None:
        self._asking = False
        self._task = None
        if self._for_client:
            self._heard = self._loop.time()
        if self._lost:
            _ = task.cancelled() or task.exception()
            self._leave()
        elif task.cancelled():
            self._abort_transport()
        elif (error := task.exception()) is not None:
            self._log_error(error)
            self._advance(partial(self._session.failed, error))
        else:
            # The answer is given even while the client is slow to read; only what follows it waits.
            self._advance(partial(self._session.answered, task.result()))

    def _log_error(self, error: BaseException) -> None:
        # Trouble with the world outside deserves a line, anything else is a fault of ours and a traceback.
        trace = None if isinstance(error, OSError | TimeoutError) else error
        _log.warning("%s: %s: %s", self._peer.ip, type(error).__name__, error, exc_info=trace)

    async def _send(self, data: bytes) -> None:
        transport = self._open_transport
        if transport is None:
            raise ConnectionResetError("client is gone")
        transport.write(data)
        self._set_deadline()
        if self._writing_paused:
            self._writable = self._loop.create_future()
            await self._writable
        if self._lost:
            raise ConnectionResetError("client is gone")

    def _release_writer(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _leave(self) -> None:
        """All is over: the socket is gone and no task runs."""
        if not self._admitted:
            return
        self._admitted = False
        self._server.leave(self)
        if self._handler is not None:
            try:
                self._handler.closed()
            except Exception:
                _log.exception("handler of %s failed to close", self._peer.ip)

    # --- TLS ---

    def _begin_securing(self) -> None:
        self._securing = True
        self.deadline = self._loop.time() + self._server.limits.handshake_seconds + HANDSHAKE_MARGIN_SECONDS

    def _secure(self) -> None:
        self._begin_securing()
        self._held.clear()
        self._task = self._loop.create_task(self._handshake())
        self._task.add_done_callback(self._secured)

    async def _handshake(self) -> asyncio.Transport | None:
        # What came as plain text since StartTls is not obeyed; start_tls takes the socket before it waits.
        self._held.clear()
        transport = self._open_transport
        if transport is None:  # lost before this first step: start_tls would wait for ever
            return None
        return await self._loop.start_tls(
            transport,
            self,
            self._server.tls_context(),
            server_side=True,
            ssl_handshake_timeout=self._server.limits.handshake_seconds,
        )

    async def _handshake_first(self, sock: socket.socket) -> None:
        # Not start_tls: uvloop may read the client's first bytes before start_tls can take the socket over.
        try:
            context = self._server.tls_context()
        except BaseException:
            sock.close()
            raise
        # From here on the socket is the transport's; closing it here as well could close another's descriptor.
        await self._loop.connect_accepted_socket(
            lambda: self,
            sock,
            ssl=context,
            ssl_handshake_timeout=self._server.limits.handshake_seconds,
        )

    def _secured_first(self, task: asyncio.Task[None]) -> None:
        if not self._securing:  # connection_made was called
            self._task = None if self._task is task else self._task
            _ = task.cancelled() or task.exception()
            return
        self._securing = False
        self._task = None
        self._give_up(None if task.cancelled() else task.exception())

    def _secured(self, task: asyncio.Task[asyncio.Transport | None]) -> None:
        self._securing = False
        self._task = None
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None or task.result() is None or self._lost:
            self._give_up(error)
            return
        self._take_over(task.result())

    def _take_over(self, transport: asyncio.Transport | None) -> None:
        assert transport is not None
        self._transport = transport
        self._reading = True
        self._peer = replace(self._peer, tls=True)
        self._heard = self._loop.time()
        self._advance(self._session.tls_started)

    def _give_up(self, error: BaseException | None) -> None:
        """No TLS: nothing can be said to the client any more. A failed handshake is no news."""
        if error is not None and not isinstance(error, OSError):
            _log.warning("%s: TLS: %s: %s", self._peer.ip, type(error).__name__, error)
        self._lost = True
        self._abort_transport()
        self._leave()
