"""Answering `ask.pass`: who is meant, have we just said yes, how long to wait, at most two verifications at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from qmail.accounts import Account, Accounts, AssignError
from qmail.bus.ports import Bus, Message
from qmail.control import Control, ControlError
from services.auth.hashes import Hashes
from services.auth.memory import Memory
from services.auth.modules import Module, Verdict, read_modules, verify
from services.auth.question import NO, TEMPORARY, Question, parse_question, render_yes
from services.auth.throttle import Throttle

CONCURRENT_VERIFICATIONS: Final = 2
#: Requests waiting for a thread or for their time; beyond it the answer is "later".
MAX_WAITING: Final = 200


class Desk:
    """All of auth but the bus. Call in the loop's thread; `close` when done."""

    def __init__(
        self,
        accounts: Accounts,
        hashes: Hashes,
        modules: Sequence[Module],
        control: Control,
        warn: Callable[[str], None],
    ) -> None:
        self._accounts = accounts
        self._hashes = hashes
        self._modules = modules
        self._control = control
        self._warn = warn
        self._threads = ThreadPoolExecutor(CONCURRENT_VERIFICATIONS, thread_name_prefix="verify")
        self._memory = Memory()
        self._throttle = Throttle()
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, bus: Bus, message: Message) -> None:
        """Answer one message of the bus, in time."""
        if len(self._tasks) >= MAX_WAITING:
            bus.publish(message.reply, TEMPORARY)
            return
        task = asyncio.get_running_loop().create_task(self._respond(bus, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """What still waits gets no answer, which its asker takes as temporary."""
        for task in self._tasks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _respond(self, bus: Bus, message: Message) -> None:
        question = parse_question(message.payload)
        try:
            answer = NO if question is None else await self.answer(question)
        except (OSError, AssignError, ControlError) as error:
            self._warn(f"warning: {error}")
            answer = TEMPORARY
        bus.publish(message.reply, answer)

    async def answer(self, question: Question) -> bytes:
        """The answer's payload. Raises OSError, AssignError, ControlError: our own trouble."""
        if self._closed_for_maintenance():
            return TEMPORARY
        account = self._account(question.user)
        name = account.name if account else question.user.lower()
        now = asyncio.get_running_loop().time
        version = self._hashes.version()
        known = self._memory.knows(name, question.password, question.service, version, now())
        if account is not None and known:
            return render_yes(account)
        key = (name, question.ip)
        wait = self._throttle.admit(key, now())
        if wait is None:
            return TEMPORARY
        if wait:
            await asyncio.sleep(wait)
        verdict = await self._verify(account, question)
        if verdict is Verdict.YES and account is not None:
            self._throttle.succeeded(key)
            self._memory.remember(name, question.password, question.service, version, now())
            return render_yes(account)
        if verdict is Verdict.TEMPORARY:
            return TEMPORARY
        self._throttle.failed(key, now())
        shown = name[:100].decode("latin-1")
        self._warn(f"{question.ip} {question.service} {shown}: wrong password")
        return NO

    async def _verify(self, account: Account | None, question: Question) -> Verdict:
        # APOP sends a digest of the password itself, which a hash cannot answer.
        name = account.name if account is not None and not question.apop else None
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, verify, self._modules, name, question.password, question.service
        )

    def _closed_for_maintenance(self) -> bool:
        """pam_nologin's switch: while control/nologin is there, nobody logs in."""
        return self._control.content("nologin") is not None

    def _account(self, user: bytes) -> Account | None:
        """`ari` or, where the host is one of control/locals, `ari@mail.xeris.com`; in any mixture of case."""
        local, at, host = user.lower().rpartition(b"@")
        if at:
            hosts = {line.lower() for line in self._locals()}
            return self._accounts.named(local) if host in hosts else None
        return self._accounts.named(host)

    def _locals(self) -> Sequence[bytes]:
        lines = self._control.lines("locals")
        return lines if lines is not None else [self._control.line_or_me("me")]


def make_desk(auth: Path, users: Path, control: Control, warn: Callable[[str], None]) -> Desk:
    """From the deployment's directories. Raises ModuleError, ControlError."""
    hashes = Hashes(auth / "passwd", warn)
    modules = read_modules(control.line("authmodulelist"), hashes)
    return Desk(Accounts(users / "assign"), hashes, modules, control, warn)
