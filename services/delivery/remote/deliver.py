"""The delivery worker's side: one recipient of one message, in qmail-rspawn's manner."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping

from qmail.control.files import Control
from services.delivery.outcome import Kind, Outcome
from services.delivery.remote import replies
from services.delivery.remote.attempt import Message, World, attempt
from services.delivery.remote.report import decide_outcome
from services.delivery.remote.resolve import make_resolver
from services.delivery.remote.settings import SettingsReader
from services.delivery.remote.tcpto import TcpTo
from services.delivery.worker import Delivery

_log = logging.getLogger(__name__)


def make_world(control: Control, environ: Mapping[str, str] = os.environ) -> World:
    """What a worker process needs for its whole life. Raises SettingsError where DNS_SERVER is no address."""
    return World(settings=SettingsReader(control), resolver=make_resolver(environ), tcpto=TcpTo(time.monotonic))


class RemoteDelivery:
    """Delivers to other hosts by SMTP."""

    def __init__(self, world: World) -> None:
        self._world = world
        # What runs and has not begun to send the final dot; and whether no such thing is to run any more.
        self._breakable: set[asyncio.Task[object]] = set()
        self._broken_off = False

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Try once. Anything unforeseen is a deferral: the message stays in the queue."""
        host = delivery.job.recipient.domain
        if host is None:
            return Outcome(Kind.FAILURE, replies.NO_HOST_NAME[1:])
        # In a command CR, LF and NUL end it, and the rest of the address would be commands of its own. qmail-remote
        # says what it is told to; here, where mail leaves, nobody is told such a thing.
        if delivery.job.sender.has_controls() or delivery.job.recipient.has_controls():
            return Outcome(Kind.FAILURE, replies.UNSPEAKABLE[1:])
        try:
            return await self._attempt(delivery, host)
        except Exception:
            _log.exception("remote delivery crashed: msg %d", delivery.envelope.id)
            return Outcome(Kind.DEFERRAL, replies.CRASHED[1:])

    async def _attempt(self, delivery: Delivery, host: bytes) -> Outcome:
        task = asyncio.current_task()
        assert task is not None
        if self._broken_off:
            return _BROKEN_OFF
        self._breakable.add(task)
        job, message = delivery.job, _message(delivery, lambda: self._breakable.discard(task))
        try:
            return decide_outcome(await attempt(self._world, host, job.sender, [job.recipient], message))
        except asyncio.CancelledError:
            if not (self._broken_off and task in self._breakable):
                raise
            task.uncancel()
            return _BROKEN_OFF
        finally:
            self._breakable.discard(task)

    def break_off(self) -> None:
        """Defer what runs and has not come to the final dot, and whatever would begin: no far host has got it, so
        nobody gets it twice. What has sent its dot goes on, because the far host may have it already."""
        self._broken_off = True
        for task in self._breakable:
            task.cancel()

    def flush(self) -> None:
        """Forget which hosts did not answer (qmailctl flush)."""
        self._world.tcpto.clear()

    def close(self) -> None:
        """Leave the hosts whose connections stand for another message."""
        self._world.kept.close()


_BROKEN_OFF = Outcome(Kind.DEFERRAL, replies.BROKEN_OFF[1:])


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
