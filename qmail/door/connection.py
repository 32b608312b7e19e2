"""One accepted connection: bytes to its session, effects to the socket, questions to its handler.

There is no task for a connection that waits for its client, and none for a handshake.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from qmail.door.certificate import TlsUnavailable
from qmail.door.held import Held
from qmail.door.listeners import Listener
from qmail.door.session import Ask, Close, Effect, Handler, Peer, Send, Session, Stopping, TurnedAway
from qmail.door.shared import Shared
from qmail.door.stay import Stay
from qmail.door.tls import reason
from qmail.door.wire import Wire

_log = logging.getLogger(__name__)

Step: TypeAlias = Callable[..., Sequence[Effect]]

_STOPPING = Stopping()


class Connection(asyncio.Protocol):
    """Driven by asyncio. Created, counted and swept by `Server`; to its handler it is the `Visitor`."""

    __slots__ = (
        "_asking", "_bound", "_count_in", "_count_out", "_eof_seen", "_eof_told", "_finished", "_for_client",
        "_handler", "_handshaking", "_held", "_listener", "_loop", "_lost", "_peer", "_session",
        "_shared", "_task", "_wire", "_writable", "_writing_paused", "stay",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        listener: Listener,
        count_in: Callable[[Connection, Peer], None],
        count_out: Callable[[Connection, Peer, Session | None], None],
    ) -> None:
        """count_in raises TurnedAway. count_out is called when the connection has ended or is given up; maybe twice."""
        self._shared = shared
        self._listener = listener
        self._count_in, self._count_out = count_in, count_out
        self._loop = shared.loop
        self._wire: Wire
        self._peer: Peer
        self._session: Session | None = None
        self._handler: Handler | None = None
        #: What this connection may take for what it does now; None while it waits for its client: see `deadline`.
        self._bound: float | None = self._loop.time() + shared.limits.linger_seconds
        self.stay = Stay(self._loop.time())
        self._for_client = True
        self._held = Held()
        self._task: asyncio.Task[object] | None = None
        #: Why input has to wait.
        self._asking = False
        self._handshaking = False
        self._writing_paused = False
        self._writable: asyncio.Future[None] | None = None
        self._eof_seen = False
        self._eof_told = False
        self._finished = False
        self._lost = False

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._wire = Wire(cast(asyncio.Transport, transport))
        self._peer = peer = self._shared.meet(transport, self._listener)
        try:
            self._count_in(self, peer)
            self._session, self._handler = self._shared.reception.enter(peer, self)
        except TurnedAway as away:
            self._turn_away(away)
        except Exception:
            _log.exception("no session for %s", peer.ip)
            self._finish(at_once=True)
        else:
            if peer.tls:
                self._begin_tls()
            else:
                self._bound = None
                self._advance(self._session.connected, peer)

    def data_received(self, data: bytes) -> None:
        if self._finished or self._lost:
            return
        if self._wire.tls is None:
            self._take(data)
        else:
            self._take_encrypted(data)

    def eof_received(self) -> bool:
        """A client may shut its sending side and still read answers: keep the connection half open."""
        if self._finished or self._lost:
            return False
        if self._handshaking:
            self._tls_failed("the client hung up")
            return False
        self._client_ended()
        return True

    def pause_writing(self) -> None:
        self._writing_paused = True
        self.stay.heard = self._loop.time()

    def resume_writing(self) -> None:
        self._writing_paused = False
        self.stay.heard = self._loop.time()
        self._release_writer()
        if self._asking:
            self._await_answer()
        if not (self._finished or self._lost):
            self._advance(None)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._release_writer()
        if self._handshaking:
            self._note_failed_handshake("the client hung up")
        if self._asking:
            self._await_answer()
        else:
            self._leave()

    # --- what Server calls ---

    @property
    def door(self) -> str:
        return self._peer.door

    @property
    def deadline(self) -> float:
        """Loop time at which `expire` is to be called. Never infinite: whatever this connection waits for, and whatever
        event is lost or comes out of turn, its place is free again after that."""
        if self._bound is None or (self._asking and self._writing_paused):
            assert self._session is not None
            return self.stay.ends(self._session)
        return self._bound

    def expire(self) -> None:
        """The deadline has passed. Where there is nothing to be said the place is free at once, whether or not the
        transport and the task heed being cut off."""
        if self._handshaking:
            self._note_failed_handshake(f"no handshake within {self._shared.limits.handshake_seconds:.0f} s")
            self._cut_off()
        elif self._finished or self._lost or self._busy or self._session is None:
            self._cut_off()
        else:
            self._say_timed_out(self._session)

    def _cut_off(self) -> None:
        self.abort()
        self._give_back()

    def _say_timed_out(self, session: Session) -> None:
        try:
            self._carry_out(session.timed_out())
        except Exception:
            self._fail()
        self._finish()

    def is_spare(self, now: float) -> bool:
        """Whether it waits for a client that wastes its place."""
        session = self._session
        if self._busy or self._finished or self._lost or session is None or session.patience is None:
            return False
        return session.patience.is_wasted(now - self.stay.since, self.stay.sent_bytes)

    def make_room(self) -> None:
        """Give the place back at once; the client is told that its time is over. Nobody watches over it then, so it is
        not waited for."""
        self.expire()
        self._wire.close()
        self._give_back()

    def stop(self) -> None:
        """The server ends: let the session say good-bye if it is idle."""
        if self._handshaking:
            self._handshaking = False
            self.abort()
        elif not (self._busy or self._finished or self._lost):
            self._advance(None)

    def abort(self) -> None:
        """Cut the connection off, whatever it does."""
        if self._task is not None:
            self._task.cancel()
        self._wire.abort()

    # --- what handlers call ---

    def notify(self, event: object) -> None:
        """An event for the session; in the loop's thread."""
        if self._finished or self._lost or not self._held.keep_event(event):
            return
        if not self._busy:
            self._advance(None)

    def send(self, data: bytes) -> None:
        """Something that no session has said."""
        if not (self._finished or self._lost):
            self._wire.send(data)

    @property
    def cipher(self) -> tuple[Any, ...] | None:
        """Name, protocol, secret bits; None without TLS."""
        return None if self._wire.tls is None else self._wire.tls.cipher

    # --- the turns of a session ---

    @property
    def _busy(self) -> bool:
        """Whether input has to wait."""
        return self._asking or self._handshaking or self._writing_paused

    def _take(self, data: bytes) -> None:
        """What the client says, outside TLS or within."""
        stay = self.stay
        stay.heard = self._loop.time()
        stay.sent_bytes += len(data)
        if self._asking or self._writing_paused or self._held.data:
            self._held.keep(data)
            if self._held.size_bytes > self._shared.limits.held_bytes:
                self._wire.pause_reading()
            return
        self._for_client = True
        try:
            self._carry_out(self._session.received(data))  # type: ignore[union-attr]
        except Exception:
            self._fail()
            return
        # Nothing was held back, or this would have been too.
        if self._shared.stopping:
            self._advance(None)

    def _advance(self, step: Step | None, *arguments: object) -> None:
        """Do this step and all that was held back, as far as nothing has to be waited for."""
        try:
            if step is not None:
                self._carry_out(step(*arguments))
            if self._held or self._eof_seen or not self._wire.reading:
                while (more := self._next_step()) is not None:
                    self._carry_out(more())
            if self._shared.stopping and not (self._busy or self._finished or self._lost):
                self._carry_out(self._session.notified(_STOPPING))  # type: ignore[union-attr]
        except Exception:
            self._fail()
            return
        if self._eof_told and not self._busy:
            self._finish(at_once=True)

    def _next_step(self) -> Callable[[], Sequence[Effect]] | None:
        if self._asking or self._handshaking or self._writing_paused or self._finished or self._lost:
            return None
        session = self._session
        assert session is not None
        event = self._held.take_event()
        if event is not None:
            self._for_client = False
            return partial(session.notified, event)
        self._wire.resume_reading()
        if self._held.data:
            self._for_client = True
            return partial(session.received, self._held.take_data())
        if self._eof_seen and not self._eof_told:
            self._eof_told = True
            return session.eof
        return None

    def _forget_held(self) -> None:
        self._held.forget_data()
        self._wire.resume_reading()

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        """Do the effects of a step; what is said at once goes in one piece."""
        if len(effects) == 1 and type(effects[0]) is Send:
            if not (self._finished or self._lost):
                self._wire.send(effects[0].data)
            return
        waiting: list[bytes] = []
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                waiting.append(effect.data)  # type: ignore[union-attr]
                continue
            self._flush(waiting)
            if kind is Ask:
                self._ask(effect.request)  # type: ignore[union-attr]
            elif kind is Close:
                self._finish(at_once=effect.asked)  # type: ignore[union-attr]
                return
            else:
                self._begin_tls()
        self._flush(waiting)

    def _flush(self, waiting: list[bytes]) -> None:
        if waiting and not (self._finished or self._lost):
            self._wire.send(waiting[0] if len(waiting) == 1 else b"".join(waiting))
        waiting.clear()

    def _finish(self, *, at_once: bool = False) -> None:
        """Our last words are written. Whoever may be sending still would lose them in a reset: he is left a while to
        hang up."""
        if self._finished:
            return
        self._finished = True
        self._forget_held()
        limits = self._shared.limits
        if at_once or self._eof_seen or self._shared.stopping:
            self._wire.close()
            self._bound = self._loop.time() + limits.linger_seconds
        else:
            self._wire.end()
            self._bound = self._loop.time() + limits.hang_up_seconds

    def _fail(self) -> None:
        """A fault of ours ends the connection: a client that hears nothing more would wait."""
        _log.exception("session of %s failed", self._peer.ip)
        self._finish(at_once=True)

    def _client_ended(self) -> None:
        """The client sends no more. What it asked for is finished and answered."""
        self._eof_seen = True
        if not self._busy:
            self._advance(None)

    # --- questions ---

    def _ask(self, request: object) -> None:
        assert self._handler is not None
        self._asking = True
        self._await_answer()
        self._task = self._loop.create_task(self._handler.answer(request, self._send))
        self._task.add_done_callback(partial(self._answered, request))

    def _await_answer(self) -> None:
        self._bound = self._loop.time() + self._shared.limits.answer_seconds

    def _answered(self, request: object, task: asyncio.Task[object]) -> None:
        self._asking = False
        self._task = None
        self._bound = None
        if self._for_client:
            self.stay.heard = self._loop.time()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._shared.answer_failed(self._peer, request, error)
        if self._lost:
            self._leave()
            return
        session = self._session
        assert session is not None
        if task.cancelled():
            self._wire.abort()
        elif error is not None:
            self._advance(session.failed, error)
        else:
            # The answer is given even while the client is slow to read; only what follows it waits.
            self._advance(session.answered, task.result())
            self.stay.reckon(session, self._loop.time())

    async def _send(self, data: bytes) -> None:
        if self._lost or not self._wire.open:
            raise ConnectionResetError("client is gone")
        self._wire.send(data)
        if not self._writing_paused:
            self._await_answer()
        else:
            self._writable = self._loop.create_future()
            await self._writable
        if self._lost:
            raise ConnectionResetError("client is gone")

    def _release_writer(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # --- coming and going ---

    def _turn_away(self, away: TurnedAway) -> None:
        """Who is turned away where TLS comes first is not told why: that would take a handshake."""
        self._shared.refuse(self._peer, str(away))
        if not self._peer.tls:
            self._wire.send(away.text)
        self._finish(at_once=True)

    def _give_back(self) -> None:
        self._count_out(self, self._peer, self._session)

    def _leave(self) -> None:
        """All is over: the socket is gone and no task runs."""
        self._give_back()
        handler, self._handler = self._handler, None
        if handler is not None:
            try:
                handler.closed()
            except Exception:
                _log.exception("handler of %s failed to close", self._peer.ip)

    # --- TLS ---

    def _begin_tls(self) -> None:
        """What the client has sent in plain text since STARTTLS is not obeyed."""
        self._forget_held()
        try:
            self._wire.begin_tls(self._shared.tls_context())
        except TlsUnavailable as error:
            self._note_failed_handshake(str(error))
            self._finish(at_once=True)
            return
        self._handshaking = True
        self._bound = self._loop.time() + self._shared.limits.handshake_seconds

    def _take_encrypted(self, data: bytes) -> None:
        tls = self._wire.tls
        assert tls is not None
        try:
            text = self._wire.decrypt(data)
        except ssl.SSLError as error:
            self._tls_failed(reason(error))
            return
        if self._handshaking and tls.established:
            self._handshaking = False
            self._bound = None
            self._secured()
        if text and not self._finished:
            self._take(text)
        if tls.ended and not (self._finished or self._eof_seen):
            self._client_ended()

    def _secured(self) -> None:
        self.stay.heard = self._loop.time()
        session = self._session
        assert session is not None
        if self._peer.tls:
            self._advance(session.connected, self._peer)
        else:
            self._peer = self._peer._replace(tls=True)
            self._advance(session.tls_started)

    def _tls_failed(self, why: str) -> None:
        """Nothing but the alert, which is sent by now, can be said to the client."""
        self._note_failed_handshake(why)
        self._finish()

    def _note_failed_handshake(self, why: str) -> None:
        """Who asked for TLS and said nothing, as one who only looks whether the port is open, was refused nothing."""
        self._handshaking = False
        tls = self._wire.tls
        if tls is None or tls.heard or not self._listener.tls:
            how = "TLS" if self._listener.tls else "STARTTLS"
            self._shared.refuse_tls(self._peer, how, why)
