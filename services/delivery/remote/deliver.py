"""The delivery worker's side, in qmail-rspawn's manner. A message's recipients at one host that come in the same moment
go in one session (RFC 5321 4.5.4.1); where control/extensions is `none` each has its own, as in qmail."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from qmail.control.files import Control, ControlError
from qmail.control.paths import read_paths
from qmail.message.address import Address
from services.delivery.outcome import Kind, Outcome
from services.delivery.remote import replies
from services.delivery.remote.attempt import Message, World, attempt
from services.delivery.remote.passwords import RoutePasswords
from services.delivery.remote.report import decide_outcome, wait_for_another_session
from services.delivery.remote.resolve import make_resolver
from services.delivery.remote.settings import SettingsReader
from services.delivery.remote.tcpto import TcpTo
from services.delivery.worker import Delivery

_log = logging.getLogger(__name__)

# RFC 5321 4.5.3.1.8: every server takes a hundred.
MOST_RECIPIENTS = 50

_BROKEN_OFF = Outcome(Kind.DEFERRAL, replies.BROKEN_OFF[1:])
_CRASHED = Outcome(Kind.DEFERRAL, replies.CRASHED[1:])

# Message, sender and host: who has the same goes together.
_Key: TypeAlias = "tuple[int, Address, bytes]"


def make_world(control: Control, environ: Mapping[str, str] = os.environ) -> World:
    """What a worker process needs for its whole life. Raises SettingsError where DNS_SERVER is no address."""
    return World(
        settings=SettingsReader(control),
        passwords=RoutePasswords(read_paths(environ).credentials),
        resolver=make_resolver(environ),
        tcpto=TcpTo(time.monotonic),
    )


@dataclass(slots=True)
class _Session:
    """Recipients of one message at one host, each with whoever waits for its outcome."""

    delivery: Delivery
    host: bytes
    waiting: dict[asyncio.Future[Outcome], Address] = field(default_factory=dict)

    def end(self, outcome: Outcome) -> None:
        """For everybody who has none."""
        for future in self.waiting:
            if not future.done():
                future.set_result(outcome)


class RemoteDelivery:
    """Delivers to other hosts by SMTP."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._gathering: dict[_Key, _Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # What runs and has not begun to send the final dot; and whether no such thing is to run any more.
        self._breakable: set[asyncio.Task[object]] = set()
        self._broken_off = False

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Try once. Anything unforeseen is a deferral: the message stays in the queue."""
        sender, recipient = delivery.job.sender, delivery.job.recipient
        if recipient.domain is None:
            return Outcome(Kind.FAILURE, replies.NO_HOST_NAME[1:])
        # In a command CR, LF and NUL end it, and the rest of the address would be commands of its own. qmail-remote
        # says what it is told to; here, where mail leaves, nobody is told such a thing.
        if sender.has_controls() or recipient.has_controls():
            return Outcome(Kind.FAILURE, replies.UNSPEAKABLE[1:])
        return await self._join(delivery, recipient.domain)

    def _join(self, delivery: Delivery, host: bytes) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        key = (delivery.envelope.id, delivery.job.sender, host.lower())
        session = self._gathering.get(key)
        if session is None:
            session = _Session(delivery, host)
            if self._shares():
                self._gathering[key] = session
            # The others of a group of jobs are about to come.
            loop.call_soon(self._begin, key, session)
        future: asyncio.Future[Outcome] = loop.create_future()
        session.waiting[future] = delivery.job.recipient
        if len(session.waiting) >= MOST_RECIPIENTS:
            self._gathering.pop(key, None)
        return future

    def _shares(self) -> bool:
        try:
            return not self._world.settings.exact()
        except ControlError:
            return False

    def _begin(self, key: _Key, session: _Session) -> None:
        if self._gathering.get(key) is session:
            del self._gathering[key]
        task = asyncio.get_running_loop().create_task(self._run(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, session: _Session) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await self._attempts(session, task)
        except asyncio.CancelledError:
            if not (self._broken_off and task in self._breakable):
                raise
            task.uncancel()
            session.end(_BROKEN_OFF)
        except Exception:
            _log.exception("remote delivery crashed: msg %d", session.delivery.envelope.id)
        finally:
            self._breakable.discard(task)
            session.end(_CRASHED)

    async def _attempts(self, session: _Session, task: asyncio.Task[object]) -> None:
        message = _message(session.delivery, lambda: self._breakable.discard(task))
        left = list(session.waiting)
        while left and not self._broken_off:
            self._breakable.add(task)
            recipients = [session.waiting[future] for future in left]
            parts = await attempt(self._world, session.host, session.delivery.job.sender, recipients, message)
            again = wait_for_another_session(parts, len(left))
            for number, future in enumerate(left):
                if number not in again and not future.done():
                    future.set_result(decide_outcome(parts, number))
            left = [left[number] for number in again]
        session.end(_BROKEN_OFF)

    def break_off(self) -> None:
        """Defer what runs and has not come to the final dot, and whatever would begin: no far host has got it, so
        nobody gets it twice. What has sent its dot goes on, because the far host may have it already."""
        self._broken_off = True
        for task in self._breakable:
            task.cancel()

    def flush(self) -> None:
        """Forget which hosts did not answer, and what the DNS said (qmailctl flush)."""
        self._world.tcpto.clear()
        self._world.resolver.forget()

    def close(self) -> None:
        """Leave the hosts whose connections stand for another message."""
        self._world.kept.close()


def _message(delivery: Delivery, before_end: Callable[[], None]) -> Message:
    envelope = delivery.envelope

    async def chunks() -> AsyncIterator[bytes]:
        yield envelope.prefix
        async for piece in delivery.pieces():
            yield piece

    return Message(
        chunks=chunks,
        before_end=before_end,
        size_bytes=len(envelope.prefix) + envelope.size_bytes,
        parameters=envelope.parameters,
    )
