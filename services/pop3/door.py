"""One process of pop3: its bus, its threads, its listeners."""

from __future__ import annotations

import asyncio
import os

from qmail.bus.connect import connect
from qmail.bus.ports import Bus
from qmail.control import Control
from qmail.door.certificate import ServerTls
from qmail.door.server import Server, serve
from qmail.door.session import Handler, Notify, Peer, Session
from qmail.door.settings import Settings
from qmail.health import both, check_bus, keep_watch
from qmail.identity import ActingPool, acting_pool
from qmail.log import Log
from qmail.user_sessions import UserSessions
from services.pop3.handler import Maildrops, Pop3Handler
from services.pop3.settings import Manners
from services.pop3.transaction import Transaction


class Door:
    """Makes sessions and handlers for the server loop."""

    def __init__(self, settings: Settings, bus: Bus, pool: ActingPool, log: Log) -> None:
        self._settings = settings
        self.tls = ServerTls(settings.paths.tls)
        control = Control(settings.paths.control, log.notices)
        self._manners = Manners(settings, control, lambda: self.tls.available)
        sessions = UserSessions(control)
        self._maildrops = Maildrops(
            bus, pool, log, sessions, per_user=settings.identity == "per-user", gateways=settings.gateways
        )
        self._classic = False

    def make_session(self) -> Session:
        """Followed at once by `make_handler` for the same connection."""
        manner = self._manners.next()
        self._classic = manner.classic
        return Transaction(manner)

    def make_handler(self, peer: Peer, notify: Notify) -> Handler:
        return Pop3Handler(self._maildrops, peer, classic=self._classic)

    def server(self) -> Server:
        """For tests; `run_door` is what the role does."""
        return Server(self._settings.listeners, self.make_session, self.make_handler, self._settings.limits, self.tls)


async def run_door(settings: Settings) -> None:
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

    await serve(
        settings.listeners, door.make_session, door.make_handler, settings.limits, tls=door.tls, on_ready=listening
    )
    for task in tasks:
        task.cancel()
    log.close()
    await bus.close()
    pool.close()
