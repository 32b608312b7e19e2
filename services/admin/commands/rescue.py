"""`qmailctl rescue LOSS`: what is left of the records that the bus has lost, and putting it back.

Of a block that was cut off mostly one record is damaged, and all behind it are whole. A message of IN that is put back
has its old number and is new mail to the scheduler: what of it was delivered before is delivered again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from qmail.bus import subjects
from qmail.bus.connect import connect_user
from qmail.bus.jetstream import JetStreamBus
from qmail.bus.ports import AlreadyStored, Record
from services.admin.bus.blocks import Entry, header_fields
from services.admin.bus.losses import Loss
from services.admin.bus.store import kept_records
from services.admin.commands.deployment import Deployment, Usage

# What the scheduler itself remembers would be older than what it knows by now.
MAIL = (subjects.IN, subjects.BODY, subjects.HOLD)


@dataclass(frozen=True, slots=True)
class _Found:
    entry: Entry
    is_whole: bool


def rescue(deployment: Deployment, arguments: list[str]) -> int:
    """Exit code 0, or 1 where nothing is left. Raises Usage, ValueError, OSError, TemporaryError."""
    if arguments[1:] not in ([], ["put"]) or not arguments or not arguments[0].isdigit():
        raise Usage
    loss = _loss(deployment, int(arguments[0]))
    found = _records(loss)
    if arguments[1:] == ["put"]:
        if loss.stream not in MAIL:
            raise ValueError(f"{loss.stream} is the scheduler's memory; expected a loss of {', '.join(MAIL)}")
        asyncio.run(_put(deployment, loss.stream, found))
    else:
        print(f"{loss.text}\n{''.join(map(_line, found))}", end="")
    return 0 if found else 1


def _loss(deployment: Deployment, number: int) -> Loss:
    loss = next((each for each in deployment.losses.all() if each.number == number), None)
    if loss is None:
        raise ValueError(f"there is no loss {number}; expected one that stat or the log names")
    return loss


def _records(loss: Loss) -> list[_Found]:
    if not loss.kept:
        return []
    wanted = [range(first, last + 1) for first, last in loss.ranges] or [range(1, 1 << 62)]
    rows = kept_records(Path(loss.kept), loss.stream, wanted)
    return [_Found(entry, entry.is_whole(loss.stream, block)) for block, entry in rows]


def _line(found: _Found) -> str:
    size = len(found.entry.headers) + len(found.entry.payload)
    damaged = "" if found.is_whole else " damaged"
    return f"{found.entry.sequence} {found.entry.subject} {size} bytes{damaged}\n"


async def _put(deployment: Deployment, stream: str, found: list[_Found]) -> None:
    bus = await connect_user("admin", deployment.directories.paths, deployment.environ)
    try:
        for each in found:
            print(f"{each.entry.subject}: {await _put_one(bus, stream, each)}")
    finally:
        await bus.close()


async def _put_one(bus: JetStreamBus, stream: str, found: _Found) -> str:
    entry = found.entry
    if not found.is_whole:
        return "damaged, left out"
    if await bus.subjects(stream, entry.subject):
        return "is there"
    try:
        await bus.store(Record(entry.subject, entry.payload, header_fields(entry.headers) or None))
    except AlreadyStored:
        return "is there"
    return "put back"
