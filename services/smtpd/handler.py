"""The side of SMTP that touches the world: the queue, the other roles, and plug-ins written for aiosmtpd.

aiosmtpd's Session, Envelope, handler and authenticator interfaces stay (services.smtpd.plugins); its line loop does
not run.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Session as PluginSession

from qmail.door.session import Peer, SendBytes, Visitor
from qmail.message.printable import printable
from services.smtpd.desk import Putting
from services.smtpd.dialogue import Dialogue
from services.smtpd.facts import AskRecipient, Commit, Drop, Hook, Login, Ready, Store
from services.smtpd.plugins import call_authenticator, call_hook

if TYPE_CHECKING:
    from services.smtpd.door import Door


class SmtpdHandler:
    """One connection's I/O (a `qmail.door.session.Handler`)."""

    __slots__ = ("_dialogue", "_door", "_peer", "_plugin_server", "_putting", "_visitor")

    def __init__(self, door: Door, dialogue: Dialogue, peer: Peer, visitor: Visitor) -> None:
        self._door = door
        self._dialogue = dialogue
        self._peer = peer
        self._visitor = visitor
        self._putting = Putting(door.desk)
        self._plugin_server: PluginServer | None = None

    async def answer(self, request: object, send: SendBytes) -> object:
        """One of `facts.Request`. Raises QueueFull, BusDown, EnvelopeTooLarge, and whatever a plug-in raises."""
        desk = self._door.desk
        if isinstance(request, Commit):
            return await self._putting.commit(request)
        if isinstance(request, AskRecipient):
            return await desk.look_up(request.address)
        if isinstance(request, Login):
            return await self._log_in(request)
        if isinstance(request, Hook):
            return await call_hook(self._plugins, self._door.handler, request)
        if isinstance(request, Store):
            await self._putting.store(request.chunk)
        elif isinstance(request, Ready):
            await desk.ready()
        else:
            assert isinstance(request, Drop)
            await self._putting.drop()
        return True

    def closed(self) -> None:
        """What was half put is forgotten."""
        if self._putting.begun:
            task = asyncio.get_running_loop().create_task(self._putting.drop())
            _DROPPING.add(task)
            task.add_done_callback(_DROPPING.discard)

    async def _log_in(self, login: Login) -> bytes | None:
        if self._door.authenticator is not None:
            return await call_authenticator(self._plugins, self._door.authenticator, login)
        ip, tls = self._peer.ip, self._dialogue.client.tls
        shared = ip in self._door.gateways
        name = await self._door.desk.log_in(login.user, login.password, ip, tls=tls, shared=shared)
        shown = printable(login.user)
        self._door.log.line(f"smtpd: auth {self._peer.number} {'ok' if name else 'failed'} user {shown} from {ip}")
        return name

    @property
    def _plugins(self) -> PluginServer:
        """Made for a connection that a plug-in hears of; the others do without."""
        server = self._plugin_server
        if server is None:
            server = self._plugin_server = PluginServer(self._door.prototype, self._peer, self._visitor)
        server.note(self._visitor.cipher, self._dialogue.account)
        return server


#: Dropping runs on after the connection is counted out; the loop itself keeps no hold on tasks.
_DROPPING: set[asyncio.Task[None]] = set()


class PluginServer(SMTP):
    """The `server` that plug-ins are given: aiosmtpd's attributes, its session and envelope, and `push`."""

    def __init__(self, prototype: dict[str, Any], peer: Peer, visitor: Visitor) -> None:
        self.__dict__.update(prototype)
        self._visitor = visitor
        self.session = PluginSession(prototype["loop"])
        self.session.peer = cast(Any, (peer.ip, peer.port))

    def note(self, cipher: tuple[Any, ...] | None, account: bytes) -> None:
        """What aiosmtpd notes after a handshake and after a log-in."""
        assert self.session is not None
        if cipher is not None:
            self.session.ssl = {"cipher": cipher}
        if account:
            self.session.authenticated = True

    async def push(self, status: str | bytes) -> None:
        """Write a line of the plug-in's own."""
        raw = status if isinstance(status, bytes) else status.encode("utf-8", "surrogateescape")
        self._visitor.send(raw + b"\r\n")
