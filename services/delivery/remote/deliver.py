"""The delivery worker's side: one recipient of one message, in qmail-rspawn's manner."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from qmail.address import split
from qmail.control import Control
from qmail.envelope import Envelope
from qmail.outcome import Kind, Outcome
from services.delivery.remote import replies
from services.delivery.remote.attempt import Message, World, attempt
from services.delivery.remote.report import decide_outcome
from services.delivery.remote.resolve import make_resolver
from services.delivery.remote.tcpto import TcpTo

_log = logging.getLogger(__name__)


class Job(Protocol):
    """What the worker hands over (its Delivery): the message is `envelope.prefix` and then the body."""

    @property
    def envelope(self) -> Envelope: ...
    @property
    def sender(self) -> bytes: ...
    @property
    def recipient(self) -> bytes: ...
    @property
    def body(self) -> bytes | None: ...
    @property
    def chunks(self) -> Callable[[], AsyncIterator[bytes]]: ...


def make_world(control: Control, environ: Mapping[str, str] = os.environ) -> World:
    """What a worker process needs for its whole life. Raises ValueError where DNS_SERVER is no address."""
    return World(control=control, resolver=make_resolver(environ), tcpto=TcpTo(time.time))


class RemoteDelivery:
    """Delivers to other hosts by SMTP."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def deliver(self, job: Job) -> Outcome:
        """Try once. Anything unforeseen is a deferral: the message stays in the queue."""
        _, host = split(job.recipient)
        if host is None:
            return Outcome(Kind.FAILURE, replies.NO_HOST_NAME[1:])
        try:
            report = await attempt(self._world, host, job.sender, [job.recipient], _message(job))
        except Exception:
            _log.exception("remote delivery crashed: msg %d", job.envelope.id)
            return Outcome(Kind.DEFERRAL, replies.CRASHED[1:])
        return decide_outcome(report)

    def flush(self) -> None:
        """Forget which hosts did not answer (qmailctl flush)."""
        self._world.tcpto.clear()


def _message(job: Job) -> Message:
    envelope = job.envelope

    async def chunks() -> AsyncIterator[bytes]:
        yield envelope.prefix
        if job.body is not None:
            yield job.body
            return
        async for piece in job.chunks():
            yield piece

    return Message(
        chunks=chunks,
        size_bytes=len(envelope.prefix) + envelope.size_bytes,
        eight_bit=envelope.body_type == "8BITMIME",
        smtputf8=envelope.smtputf8,
    )
