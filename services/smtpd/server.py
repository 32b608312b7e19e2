"""One SMTP connection: an aiosmtpd SMTP that takes the bytes itself and gives them to our pure dialogue.

aiosmtpd's Session, Envelope, handler and authenticator interfaces stay (services.smtpd.plugins); its line loop does
not run. There is no task for a connection that waits for its client, and none for a question whose answer is known.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Session

from qmail.bus.ports import TemporaryError
from qmail.control import ControlError
from qmail.door.admission import Admitted
from qmail.door.certificate import TlsUnavailable
from qmail.door.session import Ask, Close, Effect, Send
from qmail.printable import printable
from services.smtpd import replies
from services.smtpd.desk import Putting
from services.smtpd.dialogue import EXIT_OTHER
from services.smtpd.door import Door, Purpose
from services.smtpd.facts import AskRecipient, Commit, Drop, Hook, Login, Ready, Request, Store
from services.smtpd.plugins import call_authenticator, call_hook
from services.smtpd.transaction import Transaction

_log = logging.getLogger(__name__)

# Client bytes kept while a question is open; beyond it the socket is not read.
HELD_BYTES = 65_536
HANDSHAKE_SECONDS = 30.0
# Where the loop forgets a handshake, as that of a transport that was lost, the deadline ends it.
HANDSHAKE_MARGIN_SECONDS = 5.0
# How long a question may be open. No client waits longer than ten minutes (RFC 5321 4.5.3.2.6).
ANSWER_SECONDS = 900.0
# timeoutsmtpd bounds each read, as in qmail, and a byte for each is cheap. So whoever puts no message has his place for
# this long only: an hour, and the time that what he sends takes at Postfix's smtpd_min_data_rate, up to a day.
PATIENCE_SECONDS = 3600.0
LEAST_BYTES_PER_SECOND = 500
LONGEST_SECONDS = 86_400.0
# How long a client may take to read our last words and hang up.
LINGER_SECONDS = 5.0

_REFUSALS = {Admitted.FULL: replies.TOO_MANY_CONNECTIONS, Admitted.FULL_FOR_ADDRESS: replies.TOO_MANY_FROM_YOU}


class SmtpdConnection(SMTP):
    """Driven by asyncio; created, counted and swept by its Door."""

    def __init__(self, door: Door, purpose: Purpose) -> None:
        self.__dict__.update(door.prototype)
        self._door = door
        self._purpose = purpose
        self._loop: asyncio.AbstractEventLoop = door.prototype["loop"]
        self._putting = Putting(door.desk)
        self._dialogue: Transaction | None = None
        #: Loop time at which the Door calls `expire`. Never infinite: whatever is waited for here, and whatever event
        #: is lost or comes out of turn, the place is free again after that.
        self.deadline = self._loop.time() + LINGER_SECONDS
        #: The same transport as aiosmtpd's `transport`; None once it is lost.
        self._wire: asyncio.Transport | None = None
        #: Since when no message was put, and what the client has sent since.
        self._idle_since = self._loop.time()
        self._idle_bytes = 0
        self._ip = ""
        self._number = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._job: asyncio.Task[Any] | None = None
        self._reading = True
        self._blocked = False
        self._ended = False
        self._gone = False
        self._eof = False

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._take_wire(cast(asyncio.Transport, transport))
        if self._purpose.tls:
            self._job = None
            self._note_cipher()
            self._guarded(self._greet)
        else:
            self._guarded(self._enter)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do a step of ours.

        A fault ends the connection: a client who hears nothing more would wait, and no deadline runs.
        """
        try:
            step()
        except Exception:
            _log.exception("%s: dialogue failed", self._ip)
            self.abort()

    def _take_wire(self, wire: asyncio.Transport | None) -> None:
        self._wire = self.transport = wire

    def _enter(self) -> None:
        wire = self._wire
        assert wire is not None
        refusal = self._admit(wire.get_extra_info("peername") or ("", 0), wire.get_extra_info("sockname") or ("", 0))
        if not refusal:
            self._greet()
            return
        self._ended = True
        self.deadline = self._loop.time() + LINGER_SECONDS
        wire.write(refusal)
        wire.close()

    def _admit(self, peer: tuple[Any, ...], local: tuple[Any, ...]) -> bytes:
        """Count the client in, and ask the rules. What to say to one who is turned away; nothing: he may stay."""
        door = self._door
        self.session = session = Session(self._loop)
        session.peer = cast(Any, peer)
        self._ip = peer[0]
        try:
            policy = door.policy()
        except ControlError:
            return replies.NO_CONTROLS
        admitted, self._number = door.admit(self, self._ip)
        if admitted is not Admitted.YES or door.stopping:
            return _REFUSALS.get(admitted, replies.STOPPING)
        client = door.client(policy, self._ip, self._purpose)
        verdict = "deny" if client is None else "ok"
        name = policy.greeting.decode("latin-1")
        door.log.line(f"tcpserver: {verdict} {self._number} {name}:{local[0]}:{local[1]} :{self._ip}::{peer[1]}")
        if client is None:
            return replies.DENIED
        self._dialogue = Transaction(policy, client, door.now, door.hooks, door.desk.known)
        return b""

    def _greet(self) -> None:
        assert self._dialogue is not None
        self._carry_out(self._dialogue.connected())

    def data_received(self, data: bytes) -> None:
        if self._ended or self._gone:
            return
        self._idle_bytes += len(data)
        if self._job is not None or self._blocked:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > HELD_BYTES:
                self._pause()
            return
        self._carry_out(self._dialogue.received(data))  # type: ignore[union-attr]

    def eof_received(self) -> bool:
        """The client sends no more. What it asked for is finished and answered; an unfinished message is dropped."""
        self._eof = True
        if self._job is not None and not self._ended:
            return self._dialogue is not None and not self._dialogue.client.tls
        return False

    def pause_writing(self) -> None:
        self._blocked = True
        self._pause()

    def resume_writing(self) -> None:
        self._blocked = False
        self._guarded(self._go_on)

    def connection_lost(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._gone = True
        self._take_wire(None)
        if self._job is None:
            self._leave()

    # --- what the Door calls ---

    def accept_tls(self, sock: socket.socket) -> None:
        """Take a socket on which TLS begins at once. It counts as a connection from now on.

        Who is turned away is not told why: it would take a handshake to tell him. Raises OSError: he is gone.
        """
        if self._admit(sock.getpeername(), sock.getsockname()):
            sock.close()
            self._leave()
        else:
            self._begin_handshake(self._handshake_first(sock), self._secured_first)

    def expire(self) -> None:
        """The deadline has passed.

        Where there is nothing to be said the place is free at once, whether or not wire and job heed being cut off.
        """
        if self._ended or self._gone or self._blocked or self._job is not None or self._dialogue is None:
            self.abort()
            self._give_back()
        else:
            self._guarded(partial(self._proceed, self._dialogue.timed_out))

    def stop(self) -> None:
        """The process ends: good-bye, unless a transaction runs."""
        if self._wire is None and not self._gone:  # still shaking hands
            self.abort()
        elif self._dialogue is not None and self._job is None and not self._ended:
            self._guarded(partial(self._proceed, self._dialogue.stopping))

    def abort(self) -> None:
        """Cut the connection off."""
        if self._job is not None:
            self._job.cancel()
        if self._wire is not None:
            self._wire.abort()

    async def push(self, status: str | bytes) -> None:
        """For plug-ins: write a line of their own."""
        raw = status if isinstance(status, bytes) else status.encode("utf-8", "surrogateescape")
        if self._wire is not None:
            self._wire.write(raw + b"\r\n")

    # --- effects ---

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        """Do the effects of a step."""
        dialogue = self._dialogue
        assert dialogue is not None
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                self._write(effect.data)  # type: ignore[union-attr]
            elif kind is Ask:
                self._begin(cast(Request, effect.request))  # type: ignore[union-attr]
                return
            elif kind is Close:
                self._finish()
                return
            else:
                self._secure()
                return
        self._set_deadline(dialogue.policy.timeout_seconds)
        if self._door.stopping and (farewell := dialogue.stopping()):
            self._carry_out(farewell)

    def _set_deadline(self, timeout_seconds: float) -> None:
        patience = min(PATIENCE_SECONDS + self._idle_bytes / LEAST_BYTES_PER_SECOND, LONGEST_SECONDS)
        self.deadline = min(self._loop.time() + timeout_seconds, self._idle_since + patience)

    def _write(self, data: bytes) -> None:
        if self._wire is not None:
            self._wire.write(data)

    def _finish(self) -> None:
        """Our last words are written.

        Whoever still sends would lose them in a reset: stay until he hangs up, a while.
        """
        self._ended = True
        self._held.clear()
        self.deadline = self._loop.time() + LINGER_SECONDS
        if self._wire is None:
            return
        self._resume()
        done = self._eof or self._door.stopping or self._dialogue is None or self._dialogue.exit_status == 0
        if done or not self._wire.can_write_eof():
            self._wire.close()
        else:
            self._wire.write_eof()

    def _go_on(self) -> None:
        """Read what was held back."""
        if self._job is not None or self._blocked or self._ended or self._gone:
            return
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
            self._carry_out(self._dialogue.received(data))  # type: ignore[union-attr]
        if self._job is None and not self._blocked:
            self._resume()
            if self._eof and self._wire is not None:
                self._wire.close()

    def _pause(self) -> None:
        if self._reading and self._wire is not None:
            self._reading = False
            self._wire.pause_reading()

    def _resume(self) -> None:
        if not self._reading and self._wire is not None and not self._wire.is_closing():
            self._reading = True
            self._wire.resume_reading()

    # --- questions ---

    def _start(self, work: Coroutine[Any, Any, Any], done: Callable[[asyncio.Task[Any]], None], seconds: float) -> None:
        """Have something done that takes time; `done` is called however it ends, begun or not."""
        self.deadline = self._loop.time() + seconds
        self._job = self._loop.create_task(work)
        self._job.add_done_callback(done)

    def _begin(self, request: Request) -> None:
        self._start(self._serve(request), partial(self._answered, request), ANSWER_SECONDS)

    def _answered(self, request: Request, job: asyncio.Task[Any]) -> None:
        """Give the dialogue its answer. Whatever is unforeseen is a temporary failure."""
        self._job = None
        error = _error_of(job)
        if isinstance(error, Exception):
            self._log_failure(request, error)
        if self._gone:
            self._leave()
            return
        dialogue = self._dialogue
        assert dialogue is not None
        if isinstance(error, asyncio.CancelledError):
            self.abort()
        elif error is not None:
            self._guarded(partial(self._proceed, partial(dialogue.failed, error)))
        else:
            if isinstance(request, Commit):
                self._idle_since, self._idle_bytes = self._loop.time(), 0
            self._guarded(partial(self._proceed, partial(dialogue.answered, job.result())))

    def _proceed(self, step: Callable[[], Sequence[Effect]]) -> None:
        self._carry_out(step())
        self._go_on()

    async def _serve(self, request: Request) -> object:
        desk = self._door.desk
        if isinstance(request, Commit):
            assert self._dialogue is not None
            return await self._putting.commit(request, self._ip, self._dialogue.client.remote_host)
        if isinstance(request, AskRecipient):
            return await desk.look_up(request.address)
        if isinstance(request, Login):
            return await self._log_in(request)
        if isinstance(request, Hook):
            return await call_hook(self, self.event_handler, request)
        if isinstance(request, Store):
            await self._putting.store(request.chunk)
        elif isinstance(request, Ready):
            await desk.ready()
        else:
            assert isinstance(request, Drop)
            await self._putting.drop()
        return True

    async def _log_in(self, login: Login) -> bytes | None:
        assert self._dialogue is not None
        if self._door.authenticator is not None:
            return await call_authenticator(self, self._door.authenticator, login)
        name = await self._door.desk.log_in(
            login.user, login.password, self._ip, tls=self._dialogue.client.tls, shared=self._ip in self._door.gateways
        )
        shown = printable(login.user)
        self._door.log.line(f"smtpd: auth {self._number} {'ok' if name else 'failed'} user {shown} from {self._ip}")
        if self.session is not None:
            self.session.authenticated = name is not None
        return name

    def _log_failure(self, request: Request, error: Exception) -> None:
        what = type(request).__name__.lower()
        self._door.log.line(f"smtpd: {what} {self._number} failed: {type(error).__name__}: {error}")
        if not isinstance(error, TemporaryError | OSError):
            _log.error("%s: %s", self._ip, what, exc_info=error)

    def _give_back(self) -> None:
        status = EXIT_OTHER if self._dialogue is None else self._dialogue.exit_status
        self._door.leave(self, self._ip, self._number, status)

    def _leave(self) -> None:
        """All is over: the wire is gone and no job runs."""
        self._give_back()
        if self._putting.begun:
            self._job = self._loop.create_task(self._putting.drop())

    # --- TLS ---

    def _secure(self) -> None:
        self._held.clear()
        # The client's first handshake bytes must find start_tls in charge, not us; it resumes reading itself.
        if self._wire is not None:
            self._wire.pause_reading()
        self._begin_handshake(self._handshake(), self._secured)

    def _begin_handshake(self, work: Coroutine[Any, Any, Any], done: Callable[[asyncio.Task[Any]], None]) -> None:
        self._start(work, done, HANDSHAKE_SECONDS + HANDSHAKE_MARGIN_SECONDS)

    async def _handshake(self) -> asyncio.Transport | None:
        if self._wire is None or self._wire.is_closing():  # lost before this first step: start_tls would not return
            return None
        return await self._loop.start_tls(
            self._wire, self, self._door.tls.context(), server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
        )

    async def _handshake_first(self, sock: socket.socket) -> None:
        # Not start_tls: uvloop may read the client's first bytes before start_tls can take the socket over.
        try:
            context = self._door.tls.context()
        except TlsUnavailable:
            sock.close()
            raise
        # From here on the socket is the transport's; closing it here as well could close another's descriptor.
        await self._loop.connect_accepted_socket(
            lambda: self, sock, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS
        )

    def _secured_first(self, job: asyncio.Task[None]) -> None:
        error = _error_of(job)
        if self._job is job:  # connection_made was not called
            self._job = None
            self._give_up(error)

    def _secured(self, job: asyncio.Task[asyncio.Transport | None]) -> None:
        self._job = None
        error = _error_of(job)
        transport = job.result() if error is None else None
        if transport is None or self._gone:
            self._give_up(error)
            return
        self._take_wire(transport)
        self._reading = True
        self._note_cipher()
        assert self._dialogue is not None
        self._guarded(partial(self._proceed, self._dialogue.tls_started))

    def _note_cipher(self) -> None:
        if self.session is not None and self._wire is not None:
            self.session.ssl = {"cipher": self._wire.get_extra_info("cipher")}

    def _give_up(self, error: BaseException | None) -> None:
        """The handshake failed: nothing can be said to the client any more."""
        if error is not None:
            self._door.log.line(f"smtpd: tls {self._number} failed: {type(error).__name__}: {error}")
            if not isinstance(error, OSError | TlsUnavailable | asyncio.CancelledError):
                _log.error("%s: tls", self._ip, exc_info=error)
        if self._wire is not None:
            self._wire.abort()
        self._gone = True
        self._leave()


def _error_of(job: asyncio.Task[Any]) -> BaseException | None:
    return asyncio.CancelledError() if job.cancelled() else job.exception()
