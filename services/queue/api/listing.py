"""The queue as an administrator sees it: qmail-qread's and qmail-qstat's facts, from memory and the bus."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import Any

from pydantic import BaseModel, Field

from qmail.bus import subjects
from qmail.bus.ports import Bus
from qmail.control.routing import Routes
from qmail.message.printable import printable, printable_lines
from services.queue.decide.message import QueuedMessage
from services.queue.run.service import QueueService


class RecipientEntry(BaseModel):
    """One recipient of a queued message."""

    channel: str = Field(description="local or remote")
    address: str
    done: bool
    last: str = Field(description="the last report, empty before the first attempt")


class QueueEntry(BaseModel):
    """One message of the queue; times are seconds since the epoch."""

    id: int
    accepted: int
    bytes: int
    sender: str
    recipients: list[RecipientEntry]
    attempts: dict[str, int] = Field(description="attempts made, per channel")
    next_attempt: dict[str, int] = Field(description="when a waiting channel is tried again")
    bouncing: bool


def describe(message: QueuedMessage, routes: Routes) -> QueueEntry:
    """What is known of a message; `routes` say where a recipient went that is done."""
    envelope = message.envelope
    channel_of = {n: name for name, c in message.channels.items() for n in c.undone}
    rows = [
        RecipientEntry(
            channel=channel_of.get(number) or routes.route(recipient.address).channel,
            address=printable(message.addresses.get(number, recipient.address).raw),
            done=number not in channel_of,
            last=printable_lines(message.last.get(number, b"")),
        )
        for number, recipient in enumerate(envelope.recipients)
    ]
    waiting = {n: c for n, c in message.channels.items() if c.undone and not (c.ready or c.running)}
    return QueueEntry(
        id=message.id,
        accepted=message.birth,
        bytes=envelope.size_bytes + len(envelope.prefix),
        sender=printable(envelope.sender.raw),
        recipients=rows,
        attempts={name: c.attempts for name, c in message.channels.items()},
        next_attempt={name: c.due for name, c in waiting.items()},
        bouncing=message.bouncing,
    )


class Listing:
    """Reads one scheduler."""

    def __init__(self, service: QueueService, bus: Bus) -> None:
        self.service = service
        self._bus = bus

    def is_ready(self) -> bool:
        """Whether old and new mail is being delivered."""
        return self.service.ready and self._bus.connected

    def total(self) -> int:
        scheduler = self.service.scheduler
        return len(scheduler.messages) + len(scheduler.asleep)

    async def status(self) -> dict[str, Any]:
        """The fields of http.Status. Raises BusDown."""
        scheduler = self.service.scheduler
        found = await self._bus.info(subjects.IN)
        # What IN has forgotten need not be read, whoever noted it.
        read = max(self.service.store.floor.last, found.first_sequence - 1)
        return {
            "unread": max(0, found.last_sequence - read),
            "ready": self.is_ready(),
            "paused": scheduler.paused,
            "messages": self.total(),
            "running": scheduler.running(),
            "status": scheduler.status_line(),
        }

    async def page(self, offset: int, limit: int) -> list[QueueEntry]:
        """Messages by number, which is the order of their acceptance."""
        scheduler = self.service.scheduler
        numbers = heapq.merge(sorted(scheduler.messages), scheduler.asleep)
        ids = list(islice(numbers, offset, offset + limit))
        entries = [await self.entry(message_id) for message_id in ids]
        return [entry for entry in entries if entry is not None]

    async def entry(self, message_id: int) -> QueueEntry | None:
        """One message, None where the queue does not have it. Raises EnvelopeError."""
        message = self.service.scheduler.messages.get(message_id)
        if message is None and message_id in self.service.scheduler.asleep:
            message = await self.service.store.reading.state(message_id)
        return None if message is None else describe(message, self.service.scheduler.controls.routes)
