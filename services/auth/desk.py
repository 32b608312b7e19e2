"""Answering `ask.pass`: who is meant, have we just said yes, how long to wait, at most two verifications at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from qmail.accounts import Account, Accounts, AssignError
from qmail.bus.ports import Bus, Message
from qmail.bus.talk.ask_pass import NO, TEMPORARY, Question, encode_yes, parse_question
from qmail.control import Control, ControlError
from qmail.control_table import AUTHMODULELIST, LOCALS, ME, NOLOGIN
from qmail.printable import printable
from services.auth.hashes import Hashes, Stamp
from services.auth.memory import Memory
from services.auth.modules import Module, Verdict, read_modules, verify
from services.auth.throttle import Throttle

CONCURRENT_VERIFICATIONS: Final = 2
#: Requests waiting for a thread or for their time; beyond it the answer is "later". Who guesses from one address
#: must not keep the others from being heard.
MAX_WAITING: Final = 1000
MAX_WAITING_PER_ADDRESS: Final = 100


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
        self._waiting: Counter[str] = Counter()
        self._attempts: dict[Question, asyncio.Task[bytes]] = {}

    def take(self, bus: Bus, message: Message) -> None:
        """Answer one message of the bus, in time."""
        question = parse_question(message.payload)
        if question is None:
            bus.publish(message.reply, NO)
            return
        ip = question.ip
        if len(self._tasks) >= MAX_WAITING or self._waiting[ip] >= MAX_WAITING_PER_ADDRESS:
            bus.publish(message.reply, TEMPORARY)
            return
        self._waiting[ip] += 1
        task = asyncio.get_running_loop().create_task(self._respond(bus, message, question))
        self._tasks.add(task)
        task.add_done_callback(partial(self._responded, ip))

    def _responded(self, ip: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._waiting[ip] -= 1
        if not self._waiting[ip]:
            del self._waiting[ip]

    def close(self) -> None:
        """What still waits gets no answer, which its asker takes as temporary."""
        for task in (*self._tasks, *self._attempts.values()):
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _respond(self, bus: Bus, message: Message, question: Question) -> None:
        try:
            answer = await self.answer(question)
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
            return encode_yes(account)
        # A program that opens several connections at once asks the same several times: one attempt for all.
        attempt = self._attempts.get(question)
        if attempt is None:
            attempt = asyncio.get_running_loop().create_task(self._attempt(account, name, question, version))
            self._attempts[question] = attempt
            attempt.add_done_callback(lambda _: self._attempts.pop(question))
        return await asyncio.shield(attempt)

    async def _attempt(self, account: Account | None, name: bytes, question: Question, version: Stamp) -> bytes:
        now = asyncio.get_running_loop().time
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
            return encode_yes(account)
        if verdict is Verdict.TEMPORARY:
            return TEMPORARY
        self._throttle.failed(key, now())
        shown = printable(name[:100])
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
        return self._control.get(NOLOGIN)

    def _account(self, user: bytes) -> Account | None:
        """`ari` or, where the host is one of control/locals, `ari@mail.xeris.com`; in any mixture of case, and with the
        blanks around it that mail programs take over from the person who types."""
        local, at, host = user.strip(b" ").lower().rpartition(b"@")
        if at:
            return self._accounts.named(local) if host in self._locals() else None
        return self._accounts.named(host)

    def _locals(self) -> frozenset[bytes]:
        names = self._control.get(LOCALS)
        return names if names is not None else frozenset({self._control.get(ME).lower()})


def make_desk(auth: Path, users: Path, control: Control, warn: Callable[[str], None]) -> Desk:
    """From the deployment's directories. Raises ModuleError, ControlError."""
    hashes = Hashes(auth / "passwd", warn)
    modules = read_modules(control.get(AUTHMODULELIST), hashes)
    return Desk(Accounts(users / "assign"), hashes, modules, control, warn)
