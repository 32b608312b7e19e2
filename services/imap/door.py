"""One process of imap: its bus, its threads, its listeners."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from pathlib import Path
from typing import Final

from qmail.accounts.identity import ActingPool, IdentityError
from qmail.bus.ports import Bus
from qmail.control.files import Control
from qmail.door import server
from qmail.door.admission import Admission, Admitted, Budget
from qmail.door.certificate import ServerTls
from qmail.door.cleartext import plaintext_allowed
from qmail.door.cleartext_networks import CleartextNetworks
from qmail.door.limits import Limits
from qmail.door.server import Server
from qmail.door.session import Handler, Peer, Session, Visitor
from qmail.door.settings import Settings
from qmail.door.user_sessions import UserSessions
from qmail.log.log import Log
from qmail.role.process import RoleProcess
from services.imap.commands import COMMANDS
from services.imap.handler import ImapHandler, Shared
from services.imap.mail_notifier import MailNotifier
from services.imap.replies import TOO_MANY_CONNECTIONS
from services.imap.session.dialogue import Terms
from services.imap.session.session import ImapSession
from services.imap.store.cache import cached_accounts, sweep_cache
from services.imap.store.folders import Folders

# A long SEARCH keeps its thread; others must not wait for it.
THREADS = 32
CACHE_BOUND_BYTES = 1024 * 1024 * 1024
CACHE_SWEEP_SECONDS = 3600
# Codecs are modules: threads that act as users may not be able to read them, so they are loaded before.
_CODECS = (
    "ascii", "utf-8", "utf-7", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "latin-1", "cp437", "cp850", "cp866",
    "cp874", "cp932", "cp949", "cp950", "gb18030", "big5", "euc-jp", "euc-kr", "iso2022_jp", "iso2022_jp_2",
    "iso2022_kr", "hz", "koi8-r", "koi8-u", "shift_jis", "mac-roman", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254",
    "cp1255", "cp1256", "cp1257", "cp1258", *(f"iso8859-{n}" for n in range(1, 17) if n != 12), "idna",
)  # fmt: skip


class Door:
    """The reception of the server loop."""

    name: Final = "imap"
    refusals: Final = dict.fromkeys((Admitted.FULL, Admitted.FULL_FOR_ADDRESS, Admitted.STOPPING), TOO_MANY_CONNECTIONS)

    def __init__(self, settings: Settings, bus: Bus, pool: ActingPool, log: Log) -> None:
        self._settings = settings
        self.tls = ServerTls(settings.paths.tls, log.notices)
        self.notifier = MailNotifier(bus)
        self.folders = Folders(settings.paths.imapcache)
        self._terms = Terms(plain_allowed=self._plain_allowed, tls_available=lambda: self.tls.available)
        control = Control(settings.paths.control, log.notices)
        control.remember("imap")
        self._cleartext = CleartextNetworks(control, log.notices)
        self._shared = Shared(
            bus=bus,
            notifier=self.notifier,
            sessions=UserSessions(control),
            pool=pool,
            log=log,
            control=control,
            folders=self.folders,
            per_user=settings.per_user,
            gateways=settings.gateways,
        )
        for name in _CODECS:
            codecs.lookup(name)

    def _plain_allowed(self, peer: Peer) -> bool:
        settings = self._settings
        return plaintext_allowed(
            tls=peer.tls,
            peer_ip=peer.ip,
            address=settings.address,
            gateways=settings.gateways,
            networks=self._cleartext.current(),
        )

    def budget(self, _peer: Peer) -> Budget:
        return self._settings.budget

    def enter(self, peer: Peer, visitor: Visitor) -> tuple[Session, Handler]:
        return ImapSession(COMMANDS, self._terms), ImapHandler(self._shared, peer, visitor.notify)

    def left(self, peer: Peer, session: Session | None) -> None:
        """A connection is no news; a log-in was."""

    def server(self, admission: Admission | None = None, limits: Limits | None = None) -> Server:
        return Server(self._settings.listeners, self, self._shared.log, limits, self.tls, admission)


async def keep_bounded(cache: Path, pool: ActingPool, folders: Folders) -> None:
    """Sweep the cache now and every hour, for ever, and give back views that nobody has asked for."""
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(OSError, IdentityError):
            accounts = await loop.run_in_executor(None, cached_accounts, cache)
            await pool.run_as_several(sweep_cache, accounts, CACHE_BOUND_BYTES)
        await asyncio.sleep(CACHE_SWEEP_SECONDS)
        folders.sweep()


async def serve(settings: Settings, admission: Admission, process: RoleProcess) -> None:
    """Serve until told to end. Raises SettingsError, CredentialsError, OSError."""
    pool = ActingPool(per_user=settings.per_user, threads=THREADS)
    process.at_end.callback(pool.close)
    bus = await process.reach_bus()
    door = Door(settings, bus, pool, process.log)
    door.notifier.start()
    sweeping = asyncio.create_task(keep_bounded(settings.paths.imapcache, pool, door.folders))
    await server.serve(process, door.server(admission), process.bus_is_there, pool.answers)
    sweeping.cancel()
    door.notifier.stop()
    door.folders.close()
