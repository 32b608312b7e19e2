"""smtpd's questions to the other roles: may I put, does he exist, is the password right; and the putting itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from qmail.bus.ports import BusDown
from qmail.bus.talk import ask_pass, ask_rcpt
from qmail.message.address import Address
from qmail.message.envelope import Draft, Envelope
from qmail.message.existence import Exists
from services.smtpd.facts import AskRecipient, Commit, Ready

# How long a mailbox that existed a moment ago is believed to exist, and any other answer; how many are remembered.
EXISTS_SECONDS = 10.0
OTHERWISE_SECONDS = 1.0
MAX_REMEMBERED = 10_000
# How long a queue that had room is believed to have some; the commit asks again in any case.
READY_SECONDS = 1.0


class Submission(Protocol):
    """One message being stored (qmail.queue.put.Submission)."""

    async def write(self, chunk: bytes) -> None: ...
    async def commit(self, draft: Draft, invoked: bytes) -> Envelope: ...
    async def abort(self) -> None: ...


class Submitter(Protocol):
    """qmail.queue.put.Submitter."""

    def begin(self) -> Submission: ...
    async def ready(self) -> None: ...


class Asker(Protocol):
    """The part of the bus that is needed for questions."""

    @property
    def connected(self) -> bool: ...
    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes: ...


class Desk:
    """Shared by the connections of one process; `uid` is written into the envelopes."""

    def __init__(self, bus: Asker, submitter: Submitter, uid: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._submitter = submitter
        self.uid = uid
        self._clock = clock
        self._ready_until = float("-inf")
        self._answers: dict[Address, tuple[Exists, float]] = {}

    def known(self, request: object) -> object:
        """The answer to a question that was answered a moment ago, else None."""
        if isinstance(request, Ready):
            return True if self._clock() < self._ready_until and self._bus.connected else None
        if isinstance(request, AskRecipient):
            return self._known_to_exist(request.address)
        return None

    def _known_to_exist(self, address: Address) -> Exists | None:
        answer, until = self._answers.get(address, (None, 0.0))
        return answer if self._clock() < until else None

    async def ready(self) -> None:
        """Raises QueueFull, BusDown."""
        await self._submitter.ready()
        self._ready_until = self._clock() + READY_SECONDS

    async def look_up(self, address: Address, ahead: Sequence[Address] = ()) -> Exists:
        """Ask delivery-local, for those `ahead` as well: they will be known. Never raises: without an answer the
        recipient is accepted, as qmail-smtpd accepts all."""
        asked = [address, *[each for each in dict.fromkeys(ahead) if self._known_to_exist(each) is None]]
        if len(asked) == 1:
            return self._remember(address, await ask_rcpt.ask(self._bus, address))
        answers = await asyncio.gather(*[ask_rcpt.ask(self._bus, each) for each in asked])
        for each, exists in zip(asked, answers, strict=True):
            self._remember(each, exists)
        return answers[0]

    def _remember(self, address: Address, exists: Exists) -> Exists:
        if len(self._answers) >= MAX_REMEMBERED:
            self._answers.clear()
        seconds = EXISTS_SECONDS if exists is Exists.OK else OTHERWISE_SECONDS
        self._answers[address] = exists, self._clock() + seconds
        return exists

    async def log_in(self, user: bytes, password: bytes, ip: str, *, tls: bool, shared: bool) -> bytes | None:
        """The account's name, None for a wrong password. Raises TemporaryError where auth cannot say."""
        asked = ask_pass.Question(user=user, password=password, service="smtp", ip=ip, tls=tls, shared=shared)
        account = await ask_pass.ask(self._bus, asked)
        return None if account is None else account.name

    def begin(self) -> Submission:
        """Raises BusDown."""
        return self._submitter.begin()


class Putting:
    """The one message that a connection may be putting."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._submission: Submission | None = None

    async def store(self, chunk: bytes) -> None:
        """Keep a part. Raises QueueFull, BusDown; what was kept is forgotten then."""
        if self._submission is None:
            self._submission = self._desk.begin()
        try:
            await self._submission.write(chunk)
        except Exception:
            await self.drop()
            raise

    async def commit(self, request: Commit) -> int:
        """The message's id, once it is on stable storage. Raises QueueFull, BusDown, EnvelopeTooLarge."""
        await self.store(request.chunk)
        submission, self._submission = self._submission, None
        assert submission is not None
        try:
            envelope = await submission.commit(request.draft, b"from network")
        except BusDown:
            # Unknown whether it was stored: forgetting its parts now could make a stored message hollow.
            raise
        except Exception:
            await submission.abort()
            raise
        return envelope.id

    async def drop(self) -> None:
        """Forget what was kept. Half-stored parts are also removed by the queue in time."""
        submission, self._submission = self._submission, None
        if submission is not None:
            await submission.abort()

    @property
    def begun(self) -> bool:
        return self._submission is not None
