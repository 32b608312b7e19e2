"""The formats of docs/formats.md, byte for byte: a change of either needs a new version, not a new golden file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from qmail.bus import subjects
from qmail.bus.nodes import NodeLease
from qmail.message.address import Address
from qmail.message.envelope import (
    Envelope,
    EnvelopeError,
    MailParameters,
    Origin,
    Recipient,
    decode_envelope,
    encode_envelope,
)
from qmail.message.ids import IdSource
from qmail.queue.deliveries import RecordPosition
from services.queue.decide.message import Channel, QueuedMessage, decode_state, encode_state
from services.queue.run.lease import Lease
from services.queue.store.journal import Journal
from services.queue.store.pause import read_pause, store_pause
from services.queue.store.records import ALL, Records
from tests.support.memory_bus import MemoryBus
from tests.support.scheduling import Lines, make_context

GOLDEN = Path(__file__).parents[2] / "golden"

ENVELOPE = Envelope(
    id=217612277476074000,
    time_ms=1795448677476,
    size_bytes=3000,
    chunk_count=0,
    origin=Origin(uid=901, role="smtpd", remote_ip="192.168.1.2", helo=b"pc\xff", account=b"joni"),
    sender=Address(b"j\xc3\xb6ni@xeris.com"),
    recipients=(
        Recipient(Address(b"ari@xeris.com")),
        Recipient(Address(b"x\x80@far.org"), "FAILURE", b"rfc822;x@far.org"),
    ),
    parameters=MailParameters("8BITMIME", smtputf8=True, ret="HDRS", envid=b"x1"),
    prefix=b"Received: (qmail 217612277476074000 invoked from network); 23 Nov 2026 15:51:17 -0000\n",
)
STATE = QueuedMessage(
    envelope=ENVELOPE,
    position=RecordPosition(42, 217612277476073000, 1, 2000),
    held=True,
    channels={"local": Channel(set()), "remote": Channel({1}, attempts=2, due=1795449077)},
    addresses={0: Address(b"ari@xeris.com"), 1: Address(b"x\x80@far.org")},
    bounce=b"<sarah@xeris.com>:\nno\n\n",
    bounce_id=7,
    last={1: b"no route\n"},
    saved=True,
)


NOW = 1795448677.0
OWNER = re.compile(rb'"[0-9a-f]{16}"')


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes().rstrip(b"\n")


def test_the_envelope_is_as_in_its_golden_file() -> None:
    assert encode_envelope(ENVELOPE) == golden("envelope-1.json")
    assert decode_envelope(golden("envelope-1.json")) == ENVELOPE


def test_the_state_record_is_as_in_its_golden_file() -> None:
    assert encode_state(STATE) == golden("state-1.json")
    assert decode_state(golden("state-1.json")) == STATE


async def _end_a_message(bus: MemoryBus) -> None:
    records = Records(make_context(bus, Lines()), Journal())
    records.add_done(STATE, 1, lambda: None, urgent=False)
    records.add_done(STATE, ALL, lambda: None, urgent=True)
    await records.settled()


async def _take_the_lease(bus: MemoryBus) -> None:
    await Lease(bus, lambda: None, lambda: NOW).acquire()


async def _pause(bus: MemoryBus) -> None:
    await store_pause(bus, paused=True)
    assert await read_pause(bus)


async def _claim_a_node(bus: MemoryBus) -> None:
    await NodeLease(bus, IdSource(), lambda: NOW).claim()


@pytest.mark.parametrize(
    ("work", "stream", "pattern", "name"),
    [
        (_end_a_message, subjects.JOURNAL, "done.*", "done-1.json"),
        (_take_the_lease, subjects.CLAIMS, subjects.LEASE, "lease.json"),
        (_pause, subjects.CLAIMS, subjects.PAUSED, "paused-1.json"),
        (_claim_a_node, subjects.CLAIMS, "node.*", "node.json"),
    ],
)
def test_a_record_is_as_in_its_golden_file(
    work: Callable[[MemoryBus], Awaitable[None]], stream: str, pattern: str, name: str
) -> None:
    async def store() -> bytes:
        bus = MemoryBus()
        await work(bus)
        (subject,) = await bus.subjects(stream, pattern)
        stored = await bus.last(stream, subject)
        assert stored is not None
        return stored.payload

    assert OWNER.sub(b'"<hex>"', asyncio.run(store())) == golden(name)


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b"null", b'{"v":2}', b'{"v":1}', b"\xff"])
def test_what_is_no_envelope_is_refused(record: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode_envelope(record)
    with pytest.raises(EnvelopeError):
        decode_state(record)
