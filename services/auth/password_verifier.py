"""Answering `ask.pass`: who is meant, have we just said so, what does the attempt cost, is the password right."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Final

from qmail.accounts.assign import Account
from qmail.bus.ports import Bus, Message
from qmail.bus.talk.ask_pass import NO, TEMPORARY, Question, encode_yes, parse_question
from qmail.control.files import Control
from qmail.control.front_ends import is_front_end
from qmail.log.notices import Notices, Refused
from qmail.message.printable import printable
from services.auth.budgets import BudgetTables
from services.auth.files import Files, Trouble
from services.auth.known import KnownNetworks
from services.auth.memory import Memory
from services.auth.modules.module import Module, Verdict
from services.auth.modules.read import verify
from services.auth.networks import network_of
from services.auth.row import Attempt
from services.auth.slowed import Slowing
from services.auth.verifications import Verifications

#: Requests being answered; beyond it the answer is "later". More than the doors have connections.
MAX_OPEN: Final = 5000
#: Of one network, where it is not known to be shared.
MAX_OPEN_PER_NETWORK: Final = 200
#: A password that was wrong a moment ago is so again, this late: a program that keeps trying it is slowed, nobody else.
REPEATED_SECONDS: Final = 2.0


class PasswordVerifier:
    """All of auth but the bus. Call in the loop's thread; `close` when done."""

    def __init__(
        self,
        files: Files,
        modules: Sequence[Module],
        control: Control,
        notices: Notices,
        known: KnownNetworks,
        threads: Executor,
    ) -> None:
        """threads: where passwords are verified, CONCURRENT_VERIFICATIONS of them."""
        self._files = files
        self._modules = modules
        self._notices = notices
        self._known = known
        self._control = control
        self._verifications = Verifications(threads)
        self._memory = Memory()
        self.slowing = Slowing(BudgetTables(), notices, self._verifications.go_on)
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: Counter[str] = Counter()
        self._attempts: dict[Question, asyncio.Task[bytes]] = {}
        files.check_modules(modules)

    def take(self, bus: Bus, message: Message) -> None:
        """Answer one message of the bus, in time."""
        question = parse_question(message.payload)
        if question is None:
            bus.publish(message.reply, NO)
            return
        network = network_of(question.ip)
        crowded = self._open[network] >= MAX_OPEN_PER_NETWORK and not self._is_shared(question)
        if crowded or len(self._tasks) >= MAX_OPEN:
            self._refuse(question, "too many attempts at once")
            bus.publish(message.reply, TEMPORARY)
            return
        self._open[network] += 1
        task = asyncio.get_running_loop().create_task(self._respond(bus, message, question))
        self._tasks.add(task)
        task.add_done_callback(partial(self._responded, network))

    def _responded(self, network: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._open[network] -= 1
        if not self._open[network]:
            del self._open[network]

    def close(self) -> None:
        """What still waits gets no answer, which its asker takes as temporary."""
        for task in (*self._tasks, *self._attempts.values()):
            task.cancel()
        self._verifications.close()
        self._known.close()

    async def _respond(self, bus: Bus, message: Message, question: Question) -> None:
        try:
            answer = await self.answer(question)
        except Trouble as trouble:
            self._refuse(question, str(trouble))
            answer = TEMPORARY
        bus.publish(message.reply, answer)

    async def answer(self, question: Question) -> bytes:
        """The answer's payload. Raises Trouble: our own."""
        account = self._files.account(question.user)
        name = account.name if account else question.user.strip(b" ").lower()
        version = self._files.version(self._modules, question.service)
        now = asyncio.get_running_loop().time
        of = (name, question.password, question.service)
        if account is not None and self._memory.is_right(*of, network_of(question.ip), version, now()):
            return encode_yes(account)
        if self._memory.is_wrong(*of, version, now()):
            self._refuse(question, "wrong password, as a moment ago")
            await asyncio.sleep(REPEATED_SECONDS)
            return NO
        # A program that opens several connections at once asks the same several times: one attempt for all.
        attempt = self._attempts.get(question)
        if attempt is None:
            attempt = asyncio.get_running_loop().create_task(self._attempt(account, name, question, version))
            self._attempts[question] = attempt
            attempt.add_done_callback(lambda _: self._attempts.pop(question))
        return await asyncio.shield(attempt)

    async def _attempt(self, account: Account | None, name: bytes, question: Question, version: Hashable) -> bytes:
        now = asyncio.get_running_loop().time
        network, shared = network_of(question.ip), self._is_shared(question)
        known = account is not None and await self._known.knows(account, network)
        attempt = self.slowing.attempt(name, network, known=known, shared=shared, now=now())
        self.slowing.tell(attempt, question.service, now())
        verdict = await self._verifications.verdict(attempt, self._verify(account, question))
        of = (name, question.password, question.service)
        if verdict is Verdict.YES and account is not None:
            self._memory.right(*of, network, version, now())
            self._succeeded(account, attempt, shared=shared)
            return encode_yes(account)
        if verdict is Verdict.NO:
            self._memory.wrong(*of, version, now())
            self.slowing.announce(attempt, shared=shared)
            self._refuse(question, "wrong password")
            return NO
        self._refuse(question, "cannot be verified now" if verdict else "slowed: its turn did not come")
        return TEMPORARY

    def _succeeded(self, account: Account, attempt: Attempt, *, shared: bool) -> None:
        self._known.remember(account, attempt.network)
        if not shared:
            attempt.budgets[0].forgive()

    def _verify(self, account: Account | None, question: Question) -> Callable[[], Verdict]:
        # APOP sends a digest of the password itself, which a hash cannot answer.
        name = account.name if account is not None and not question.apop else None
        return partial(verify, self._modules, name, question.password, question.service)

    def _is_shared(self, question: Question) -> bool:
        return question.shared or is_front_end(self._control, question.ip)

    def _refuse(self, question: Question, why: str) -> None:
        shown = printable(question.user[:100])
        self._notices.refused(Refused.LOGIN, question.ip, f"{question.service} {shown}", why)
