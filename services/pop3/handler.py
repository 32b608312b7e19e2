"""The side of POP3 that touches the world: passwords by the bus, mail by the acting threads."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from qmail.accounts.assign import Account
from qmail.accounts.identity import ActingPool, IdentityError
from qmail.bus.ports import TemporaryError
from qmail.bus.talk import ask_pass
from qmail.bus.talk.messages import AskBus
from qmail.door.session import Peer, SendBytes
from qmail.door.user_sessions import UserSessions
from qmail.log.notices import Notices, Refused
from qmail.message.printable import printable
from services.pop3 import mailbox, replies
from services.pop3.ahead import Ahead
from services.pop3.drops import Drops
from services.pop3.requests import LoggedIn, Login, LoginAnswer, Refusal, Retrieve, Update, Write
from services.pop3.wire import WireForm

MAILDIR: Final = "Maildir"


class LineLog(Protocol):
    """What is needed of the log."""

    notices: Notices

    def line(self, text: str) -> None: ...


class Maildrops:
    """What all connections of the process share."""

    def __init__(
        self,
        bus: AskBus,
        pool: ActingPool,
        log: LineLog,
        sessions: UserSessions,
        *,
        per_user: bool,
        gateways: frozenset[str] = frozenset(),
    ) -> None:
        """gateways: addresses that many clients share (qmail.role.interfaces.read_gateways)."""
        self.bus = bus
        self.pool = pool
        self.log = log
        self.sessions = sessions
        self.per_user = per_user
        self.gateways = gateways
        self.drops = Drops()


class Pop3Handler:
    """One connection's I/O (a `qmail.door.session.Handler`)."""

    def __init__(self, maildrops: Maildrops, peer: Peer, *, classic: bool) -> None:
        self._shared = maildrops
        self._peer = peer
        self._classic = classic
        self._account = Account(b"", 0, 0, Path("/nonexistent"))
        self._counted = False
        self._ahead = Ahead(())

    @property
    def _maildir(self) -> Path:
        return self._account.home / MAILDIR

    def closed(self) -> None:
        """Nothing but a place among the account's sessions is held between two requests."""
        if self._counted:
            self._counted = False
            self._shared.sessions.end(self._account, self._peer.ip)

    async def answer(self, request: object, send: SendBytes) -> object:
        """One of `requests.Request`. Raises OSError (a message cannot be read to its end), IdentityError."""
        match request:
            case Login():
                return await self._login(request)
            case Retrieve():
                return await self._retrieve(request, send)
            case Write():
                for piece in request.pieces:
                    await send(piece)
                return None
            case Update():
                return await self._update(request)
        raise TypeError(f"no such request: {request!r}")

    async def _login(self, request: Login) -> LoginAnswer:
        try:
            account = await self._ask(request)
        except TemporaryError as error:
            self._shared.log.line(f"{self._peer.ip} no answer about a password: {error}")
            return self._say(request.user, Refusal.TEMPORARY)
        if account is None:
            return self._say(request.user, Refusal.WRONG)
        self._account = account
        self._counted = self._shared.sessions.begin(self._account, self._peer.ip)
        if not self._counted:
            return self._say(request.user, Refusal.CROWDED)
        owner = self._account.uid if self._shared.per_user else None
        try:
            open_mailbox = partial(
                mailbox.open_mailbox, self._maildir, owner, self._shared.drops, classic=self._classic
            )
            messages = await self._shared.pool.run(self._account, open_mailbox)
        except mailbox.MailboxError as error:
            self._tell(str(self._maildir), error.why)
            return self._say(request.user, error.refusal)
        except IdentityError as error:
            self._shared.log.line(f"{self._peer.ip} {error}")
            return self._say(request.user, Refusal.TEMPORARY)
        self._ahead = Ahead(messages)
        self._shared.log.line(f"{self._peer.ip} {_shown(request.user)} login {len(messages)} messages")
        return LoggedIn(messages)

    def _say(self, user: bytes, refusal: Refusal) -> Refusal:
        self._shared.log.line(f"{self._peer.ip} {_shown(user)} refused: {refusal.value}")
        return refusal

    async def _ask(self, request: Login) -> Account | None:
        question = ask_pass.Question(
            user=request.user,
            password=request.password,
            service="pop3",
            ip=self._peer.ip,
            tls=request.tls,
            shared=self._peer.ip in self._shared.gateways,
            apop=request.timestamp,
        )
        return await ask_pass.ask(self._shared.bus, question)

    async def _retrieve(self, request: Retrieve, send: SendBytes) -> bytes | bool:
        pool, message = self._shared.pool, request.message
        octets = self._ahead.take(message)
        if octets is not None:
            return _whole(request, octets)
        try:
            descriptor, piece, read = await pool.run(
                self._account, mailbox.read_messages, self._maildir, message, self._ahead.following(message)
            )
        except mailbox.Unusable as unusable:
            self._tell(unusable.path, unusable.why)
            return False
        except OSError:
            return False
        self._ahead.keep(read)
        if descriptor < 0:
            return _whole(request, piece)
        wire = WireForm(body_lines=request.body_lines, as_stored=request.as_stored)
        try:
            await send(replies.OK + wire.feed(piece))
            while piece and not wire.complete:
                piece = await pool.run(self._account, mailbox.read_more, descriptor)
                await send(wire.feed(piece))
            await send(wire.end())
        finally:
            with suppress(OSError):
                os.close(descriptor)
        return True

    async def _update(self, request: Update) -> bool:
        stayed = await self._shared.pool.run(
            self._account, mailbox.update, self._maildir, request.deleted, request.seen
        )
        for unusable in stayed:
            self._tell(unusable.path, unusable.why)
        name = _shown(self._account.name)
        self._shared.log.line(f"{self._peer.ip} {name} quit {len(request.deleted)} deleted")
        return not stayed

    def _tell(self, path: str, why: str) -> None:
        """An administrator must look at the file: nobody else can mend it."""
        self._shared.log.notices.refused(Refused.FILE, _shown(self._account.name), path, why)


def _whole(request: Retrieve, octets: bytes) -> bytes:
    """OK and the message, in one piece."""
    wire = WireForm(body_lines=request.body_lines, as_stored=request.as_stored)
    return b"".join((replies.OK, wire.feed(octets), wire.end()))


def _shown(user: bytes) -> str:
    return printable(user[:100])
