"""One process of pop3: its bus, its threads, its listeners."""

from __future__ import annotations

from typing import Final

from qmail.accounts.identity import ActingPool
from qmail.bus.ports import Bus
from qmail.control.files import Control
from qmail.door import server
from qmail.door.admission import Admission, Admitted, Budget
from qmail.door.certificate import ServerTls
from qmail.door.cleartext_networks import CleartextNetworks
from qmail.door.limits import Limits
from qmail.door.server import Server
from qmail.door.session import Handler, Peer, Session, Visitor
from qmail.door.settings import Settings
from qmail.door.user_sessions import UserSessions
from qmail.log.log import Log
from qmail.role.process import RoleProcess
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
        self._manners = Manners(settings, control, lambda: self.tls.available, CleartextNetworks(control, log.notices))
        sessions = UserSessions(control)
        self._maildrops = Maildrops(bus, pool, log, sessions, per_user=settings.per_user, gateways=settings.gateways)
        self._log = log

    def budget(self, _peer: Peer) -> Budget:
        return self._settings.budget

    def enter(self, peer: Peer, _visitor: Visitor) -> tuple[Session, Handler]:
        manner = self._manners.next()
        return Transaction(manner), Pop3Handler(self._maildrops, peer, classic=manner.classic)

    def left(self, peer: Peer, session: Session | None) -> None:
        """A connection is no news; a log-in was."""

    def server(self, admission: Admission | None = None, limits: Limits | None = None) -> Server:
        return Server(self._settings.listeners, self, self._log, limits, self.tls, admission)


async def serve(settings: Settings, admission: Admission, process: RoleProcess) -> None:
    """Serve until told to end. Raises SettingsError, CredentialsError, OSError."""
    pool = ActingPool(per_user=settings.per_user)
    process.at_end.callback(pool.close)
    bus = await process.reach_bus()
    door = Door(settings, bus, pool, process.log)
    await server.serve(process, door.server(admission), process.bus_is_there, pool.answers)
