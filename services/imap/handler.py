"""The side of IMAP that touches the world: passwords by the bus, mailboxes in the acting threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, TypeVarTuple

from qmail.accounts.assign import Account
from qmail.accounts.identity import ActingPool, IdentityError
from qmail.bus.ports import Bus, BusDown, TemporaryError
from qmail.bus.talk import ask_pass
from qmail.control.files import Control, ControlError
from qmail.control.front_ends import client_ip
from qmail.control.table import DATABYTES
from qmail.door.session import Notify, Peer, SendBytes
from qmail.door.user_sessions import UserSessions
from qmail.log.log import Log
from qmail.log.notices import Refused
from qmail.message.printable import printable
from services.imap import replies
from services.imap.mail_notifier import MailNotifier
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.session import requests
from services.imap.session.results import Answer, Changed, CutShort, LoggedIn, LoginRefused, Updates
from services.imap.store.folders import Folders

MAILDIR: Final = "Maildir"
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all connections of the process share.

    gateways: addresses that many clients share (qmail.role.interfaces.read_gateways)."""

    bus: Bus
    notifier: MailNotifier
    sessions: UserSessions
    pool: ActingPool
    log: Log
    control: Control
    folders: Folders
    per_user: bool
    gateways: frozenset[str] = frozenset()


class ImapHandler:
    """One connection's I/O (a `qmail.door.session.Handler`)."""

    def __init__(self, shared: Shared, peer: Peer, notify: Notify) -> None:
        self._shared = shared
        self._peer = peer
        #: The client's address: the peer's, or what a front end has told.
        self._ip = peer.ip
        self._notify = notify
        self._account: Account | None = None
        self._mailboxes: MailboxSession | None = None
        self._sent_bytes = 0

    def announce(self) -> None:
        """Told by the notifier: something may have changed."""
        self._notify(Changed())

    def closed(self) -> None:
        shared, account, mailboxes = self._shared, self._account, self._mailboxes
        if account is None or mailboxes is None:
            return
        shared.notifier.leave(account.uid, self)
        shared.sessions.end(account, self._ip)
        shared.log.line(f"LOGOUT, user={_shown(account.name)}, ip=[{self._ip}], sent={self._sent_bytes}")
        # Files are removed and directories given back with the account's identity.
        task = asyncio.get_running_loop().create_task(shared.pool.run(account, mailboxes.locked, mailboxes.close))
        _CLOSING.add(task)
        task.add_done_callback(_CLOSING.discard)

    async def answer(self, request: object, send: SendBytes) -> object:
        """One of `requests`. Raises ConnectionResetError from `send`."""
        if isinstance(request, requests.CheckPassword):
            return await self._log_in(request)
        try:
            answer = await self._answer(request, send)
        except IdentityError as error:
            self._shared.log.line(f"ERR: ip=[{self._ip}], {error}")
            answer = Answer(b"NO", replies.FAILED_FOR_NOW, code=replies.CODE_UNAVAILABLE, why=str(error))
        if isinstance(answer, Answer) and answer.code in replies.NOT_THE_CLIENTS_FAULT and not answer.noted:
            self._tell_refusal(request, answer)
        return answer

    def _tell_refusal(self, request: object, answer: Answer) -> None:
        """What a person at their mail program cannot mend."""
        if isinstance(request, requests.Execute):
            kind, verb = Refused.COMMAND, request.command.name.removeprefix(b"UID ")
        else:
            kind, verb = Refused.MESSAGE, b"APPEND"
        said = f"{answer.kind.decode()} [{answer.code.decode()}] {answer.text.decode()}"
        self._refused(kind, verb.decode(), f"{said}: {answer.why}" if answer.why else said)

    async def _answer(self, request: object, send: SendBytes) -> object:
        mailboxes = self._mailboxes
        assert mailboxes is not None
        match request:
            case requests.Execute():
                return await self._execute(mailboxes, request, send)
            case requests.AppendBegin():
                refused = self._too_big(request)
                if refused is None:
                    return await self._run(mailboxes.append_begin, request)
                await self._run(mailboxes.append_abort)
                return refused
            case requests.AppendData(data):
                return await self._run(mailboxes.append_data, data)
            case requests.AppendCommit():
                answer = await self._run(mailboxes.append_commit)
                self._changed()
                return answer
            case requests.AppendAbort():
                return await self._run(mailboxes.append_abort)
        return await self._idle(request)

    async def _run(self, do: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Have the blocking side do something, as the account."""
        assert self._mailboxes is not None and self._account is not None
        try:
            return await self._shared.pool.run(self._account, partial(self._mailboxes.locked, do, *arguments))
        finally:
            for trouble in self._mailboxes.troubles.take():
                self._refused(Refused.FILE, trouble.path, trouble.why)

    def _refused(self, kind: Refused, what: str, why: str) -> None:
        assert self._account is not None
        self._shared.log.notices.refused(kind, _shown(self._account.name), what, why)

    async def _idle(self, request: object) -> Updates:
        assert self._mailboxes is not None
        match request:
            case requests.IdleBegin():
                self._shared.notifier.idle_begins(self)
            case requests.IdleEnd():
                self._shared.notifier.idle_ends(self)
            case requests.Refresh():
                pass
            case _:
                raise TypeError(f"no such request: {request!r}")
        return await self._run(self._mailboxes.news)

    async def _execute(
        self, mailboxes: MailboxSession, request: requests.Execute, send: SendBytes
    ) -> Answer | CutShort:
        """`send` raises ConnectionResetError, also where there is nothing to send, when the client is gone."""
        data, answer = await self._run(mailboxes.begin, request)
        while answer is None:
            await send(data)
            self._sent_bytes += len(data)
            data, answer = await self._run(mailboxes.go_on)
        if data:
            await send(data)
            self._sent_bytes += len(data)
        if request.command.announced:
            self._changed()
        return answer

    def _too_big(self, request: requests.AppendBegin) -> Answer | None:
        try:
            bound = self._shared.control.get(DATABYTES)
        except ControlError:
            bound = DATABYTES.default
        if request.size == 0:
            return Answer(b"NO", replies.EMPTY_MESSAGE)
        if bound and request.size > bound:
            return Answer(b"NO", replies.TOO_BIG, code=replies.CODE_TOO_BIG)
        return None

    def _changed(self) -> None:
        assert self._account is not None
        try:
            self._shared.notifier.changed(self._account.uid, MAILDIR.encode())
        except BusDown:
            return  # the others look for themselves within half a minute

    async def _log_in(self, request: requests.CheckPassword) -> LoggedIn | LoginRefused:
        self._ip = client_ip(self._shared.control, self._peer.ip, request.origin)
        try:
            account = await self._ask(request)
        except TemporaryError as error:
            self._shared.log.line(f"ERR: ip=[{self._ip}], no answer about a password: {error}")
            self._shared.log.line(f"LOGIN UNAVAILABLE, user={_shown(request.user)}, ip=[{self._ip}]")
            return LoginRefused(temporary=True)
        if account is None:
            self._shared.log.line(f"LOGIN FAILED, user={_shown(request.user)}, ip=[{self._ip}]")
            return LoginRefused(temporary=False)
        if not self._shared.sessions.begin(account, self._ip):
            self._shared.log.line(f"LOGIN REFUSED, too many, user={_shown(account.name)}, ip=[{self._ip}]")
            return LoginRefused(temporary=True, crowded=True)
        owner = account.uid if self._shared.per_user else None
        self._account = account
        self._mailboxes = MailboxSession(account.home / MAILDIR, owner, self._shared.folders, account.name)
        self._shared.notifier.join(account.uid, self)
        self._shared.log.line(f"LOGIN, user={_shown(account.name)}, ip=[{self._ip}], protocol=IMAP")
        return LoggedIn(account)

    async def _ask(self, request: requests.CheckPassword) -> Account | None:
        question = ask_pass.Question(
            user=request.user,
            password=request.password,
            service="imap",
            ip=self._ip,
            tls=request.tls,
            shared=self._ip in self._shared.gateways,
        )
        return await ask_pass.ask(self._shared.bus, question)


#: Closing runs on after the connection is counted out; the loop itself keeps no hold on tasks.
_CLOSING: set[asyncio.Task[None]] = set()


def _shown(user: bytes) -> str:
    return printable(user[:100])
