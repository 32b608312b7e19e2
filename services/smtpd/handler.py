"""The side of SMTP that touches the world: the queue, the other roles, and a handler written for aiosmtpd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from qmail.door.session import Peer, SendBytes, Visitor
from qmail.message.printable import printable
from services.smtpd.desk import Putting
from services.smtpd.dialogue import Dialogue
from services.smtpd.envelope import recipients_ahead
from services.smtpd.facts import AskRecipient, Commit, Drop, Hook, Login, LookUpHost, Ready, Store
from services.smtpd.plugin_session import PluginSession

if TYPE_CHECKING:
    from services.smtpd.door import Door


class SmtpdHandler:
    """One connection's I/O (a `qmail.door.session.Handler`)."""

    __slots__ = ("_dialogue", "_door", "_peer", "_plugin", "_putting")

    def __init__(self, door: Door, dialogue: Dialogue, peer: Peer, visitor: Visitor) -> None:
        self._door = door
        self._dialogue = dialogue
        self._peer = peer
        self._putting = Putting(door.desk)
        self._plugin = None if door.plugin is None else door.plugin.session(peer, visitor)

    async def answer(self, request: object, _send: SendBytes) -> object:
        """One of `facts.Request`. Raises QueueFull, BusDown, EnvelopeTooLarge, and whatever a plug-in raises."""
        desk = self._door.desk
        if isinstance(request, Commit):
            return await self._putting.commit(request)
        if isinstance(request, AskRecipient):
            return await desk.look_up(request.address, recipients_ahead(self._dialogue))
        if isinstance(request, Login):
            return await self._log_in(request)
        if isinstance(request, Hook):
            return await self._noted(self._plugin).call(request)
        if isinstance(request, LookUpHost):
            return await self._door.hosts.find(self._peer.ip)
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
        self._dialogue.share.hold(0)
        _drop(self._putting)

    async def _log_in(self, login: Login) -> bytes | None:
        plugin = self._door.plugin
        if plugin is not None and plugin.authenticator is not None:
            return await self._noted(self._plugin).log_in(plugin.authenticator, login)
        ip, tls = self._peer.ip, self._dialogue.client.tls
        shared = ip in self._door.gateways
        name = await self._door.desk.log_in(login.user, login.password, ip, tls=tls, shared=shared)
        shown = printable(login.user)
        self._door.log.line(f"smtpd: auth {self._peer.number} {'ok' if name else 'failed'} user {shown} from {ip}")
        return name

    def _noted(self, plugin: PluginSession | None) -> PluginSession:
        """What a plug-in sees, as of now."""
        assert plugin is not None
        plugin.note(self._dialogue.account)
        return plugin


class QmqpHandler:
    """The same for a client of QMQP."""

    __slots__ = ("_putting",)

    def __init__(self, door: Door) -> None:
        self._putting = Putting(door.desk)

    async def answer(self, request: object, _send: SendBytes) -> object:
        """Store or Commit. Raises QueueFull, BusDown, EnvelopeTooLarge."""
        if isinstance(request, Commit):
            return await self._putting.commit(request)
        assert isinstance(request, Store)
        await self._putting.store(request.chunk)
        return True

    def closed(self) -> None:
        """What was half put is forgotten."""
        _drop(self._putting)


def _drop(putting: Putting) -> None:
    if putting.begun:
        task = asyncio.get_running_loop().create_task(putting.drop())
        _DROPPING.add(task)
        task.add_done_callback(_DROPPING.discard)


#: Dropping runs on after the connection is counted out; the loop itself keeps no hold on tasks.
_DROPPING: set[asyncio.Task[None]] = set()
