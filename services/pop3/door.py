"""One process of pop3: its bus, its threads, its listeners."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from qmail.accounts.identity import ActingPool, acting_pool
from qmail.bus.connect import connect
from qmail.bus.ports import Bus
from qmail.control.files import Control
from qmail.door.admission import Admission, Admitted, Budget
from qmail.door.certificate import ServerTls
from qmail.door.limits import Limits
from qmail.door.server import Server, serve
from qmail.door.session import Handler, Peer, Session, Visitor
from qmail.door.settings import Settings
from qmail.door.user_sessions import UserSessions
from qmail.log.log import Log
from qmail.role.health import both, check_bus, keep_watch
from services.pop3.handler import Maildrops, Pop3Handler
from services.pop3.replies import TOO_MANY
from services.pop3.settings import Manners
from services.pop3.transaction import Transaction


class Door:
    """The reception of the server loop."""

    name: Final = "pop3"
    refusals: Final = dict.fromkeys((Admitted.FULL, Admitted.FULL_FOR_ADDRESS, Admitted.STOPPING), TOO_MANY)

    def __init__(self, settings: Settings, bus: Bus, pool: ActingPool, log: Log) -> None:
        self._settings = settings
        self.tls = ServerTls(settings.paths.tls, log.notices)
        control = Control(settings.paths.control, log.notices)
        control.remember("pop3")
        self._manners = Manners(settings, control, lambda: self.tls.available)
        sessions = UserSessions(control)
        self._maildrops = Maildrops(
            bus, pool, log, sessions, per_user=settings.identity == "per-user", gateways=settings.gateways
        )
        self._log = log

    def budget(self, peer: Peer) -> Budget:
        return self._settings.budget

    def enter(self, peer: Peer, visitor: Visitor) -> tuple[Session, Handler]:
        """The dialogue and its I/O."""
        manner = self._manners.next()
        return Transaction(manner), Pop3Handler(self._maildrops, peer, classic=manner.classic)

    def left(self, peer: Peer, session: Session | None) -> None:
        """A connection is no news; a log-in was."""

    def server(self, admission: Admission | None = None, limits: Limits | None = None) -> Server:
        return Server(self._settings.listeners, self, self._log, limits, self.tls, admission)


async def run_door(settings: Settings, admission: Admission) -> None:
    """Serve until TERM. Raises CredentialsError, IdentityError, ControlError, OSError."""
    log = Log("qmail-pop3d")
    pool = acting_pool(settings.identity)
    bus = await connect("pop3", settings.paths, os.environ, log.notices)
    log.attach(bus.publish)
    door = Door(settings, bus, pool, log)
    tasks: list[asyncio.Task[None]] = []

    def listening(server: Server) -> None:
        # Not before: who is seen to be healthy is asked.
        check = both(lambda: check_bus(bus), pool.answers)
        tasks.append(asyncio.create_task(keep_watch(settings.paths.run, check, notices=log.notices)))

    await serve(door.server(admission), listening)
    for task in tasks:
        task.cancel()
    log.close()
    await bus.close()
    pool.close()
