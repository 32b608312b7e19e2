"""The one server loop: listen, limit, drive sessions, time out, stop gracefully.

Every door (smtpd, pop3, imap) gives it a reception: sessions (pure) and handlers (I/O). Idle connections cost no task
and no timer of their own: one sweep a second looks at all deadlines.

Why: docs/decisions/0011-one-driver-for-three-protocols.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

from qmail.door.admission import Admission, Admitted, Budget
from qmail.door.certificate import ServerTls
from qmail.door.connection import Connection
from qmail.door.limits import Limits
from qmail.door.listeners import Listener, bind_all
from qmail.door.session import Peer, Reception, Session, TurnedAway
from qmail.door.shared import Shared
from qmail.log.log import Log
from qmail.role.health import Check
from qmail.role.process import RoleProcess

#: How long nobody is asked for his place again where everybody makes use of it: who knocks is not to cost much.
ROOM_SECONDS = 1.0
#: How often the certificate is looked at where no client makes us do so.
CERTIFICATE_SECONDS = 60.0


class Server:
    """One process's listeners and their connections. Call from inside a running loop."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        reception: Reception,
        log: Log,
        limits: Limits | None = None,
        tls: ServerTls | None = None,
        admission: Admission | None = None,
    ) -> None:
        """`admission` is the one that all processes of the role share; without it this process counts alone."""
        self._shared = Shared(reception, log, limits or Limits(), tls)
        self.connections: set[Connection] = set()
        self.admission = admission or _alone(listeners)
        self._listeners = tuple(listeners)
        self._servers: list[asyncio.Server] = []
        #: The bound port of each listener, in order.
        self.ports: tuple[int, ...] = ()
        self._empty = asyncio.Event()
        self._empty.set()
        self._sweep: asyncio.TimerHandle | None = None
        self._certificate_due = 0.0
        self._room_due = 0.0

    async def start(self) -> None:
        """Bind and listen. Raises OSError (address in use, no right to the port); nothing stays bound."""
        sockets = bind_all(self._listeners)
        self.ports = tuple(sock.getsockname()[1] for sock in sockets)
        for listener, sock in zip(self._listeners, sockets, strict=True):
            make = partial(Connection, self._shared, listener, self._admit, self._leave)
            self._servers.append(
                await self._shared.loop.create_server(make, sock=sock, backlog=self._shared.limits.backlog)
            )
        self._sweep_deadlines()

    async def stop(self, grace_seconds: float | None = None) -> None:
        """No new connections; sessions end at their next idle moment; after the grace the rest is cut off."""
        grace = self._shared.limits.grace_seconds if grace_seconds is None else grace_seconds
        self._shared.stopping = True
        for server in self._servers:
            server.close()
        for connection in tuple(self.connections):
            connection.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        for connection in tuple(self.connections):
            connection.abort()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), self._shared.limits.abort_seconds)
        if self._sweep is not None:
            self._sweep.cancel()

    # --- coming and going ---

    def _admit(self, connection: Connection, peer: Peer) -> None:
        """Count a new connection in. Raises TurnedAway where that would pass a limit."""
        budget = self._shared.reception.budget(peer)
        admitted = Admitted.STOPPING if self._shared.stopping else self.admission.enter(peer.ip, budget, peer.door)
        if admitted is Admitted.FULL and self._make_room(peer.door):
            admitted = self.admission.enter(peer.ip, budget, peer.door)
        if admitted is not Admitted.YES:
            raise TurnedAway(_why(admitted, budget), self._shared.reception.refusals[admitted])
        self.connections.add(connection)
        self._empty.clear()

    def _make_room(self, door: str) -> bool:
        """Send away whoever has wasted a place of this door for longest; False: everybody makes use of his."""
        now = self._shared.loop.time()
        if now < self._room_due:
            return False
        spare = [each for each in self.connections if each.door == door and each.is_spare(now)]
        if not spare:
            self._room_due = now + ROOM_SECONDS
            return False
        min(spare, key=lambda each: each.stay.since).make_room()
        return True

    def _leave(self, connection: Connection, peer: Peer, session: Session | None) -> None:
        """Count an admitted connection out, once: when it has ended, or when it is given up while something of it
        still hangs."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        self.admission.leave(peer.ip, peer.door)
        self._shared.reception.left(peer, session)
        if not self.connections:
            self._empty.set()

    # --- time ---

    def _sweep_deadlines(self) -> None:
        now = self._shared.loop.time()
        self._sweep = self._shared.loop.call_later(self._shared.limits.sweep_seconds, self._sweep_deadlines)
        for connection in [late for late in self.connections if late.deadline <= now]:
            connection.expire()
        if self._shared.tls is not None and now >= self._certificate_due:
            self._certificate_due = now + CERTIFICATE_SECONDS
            self._shared.tls.look()


def _alone(listeners: Sequence[Listener]) -> Admission:
    admission = Admission(1, tuple({listener.door for listener in listeners}))
    admission.claim_row()
    return admission


def _why(admitted: Admitted, budget: Budget) -> str:
    whys: Mapping[Admitted, str] = {
        Admitted.FULL: f"{budget.connections} connections, as many as may be",
        Admitted.FULL_FOR_ADDRESS: f"{budget.connections_per_address} connections from there, as many as may be",
        Admitted.STOPPING: "going down",
    }
    return whys[admitted]


async def serve(process: RoleProcess, server: Server, *checks: Check, seen: Sequence[Check] = ()) -> None:
    """Serve until told to end, then stop gracefully. Raises OSError when a listener cannot be bound.

    checks, seen: whether the role can work (RoleProcess.watch)."""
    await server.start()
    # Whoever is seen to be healthy is asked: healthy only after it listens.
    process.watch(*checks, seen=seen)
    await process.until_told()
    await server.stop()
