"""`new.<uid>`: who is told of which mailbox, in the golden bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from qmail.bus.ports import Message
from qmail.bus.talk import new_mail
from tests.support.memory_bus import MemoryBus

GOLDEN = Path(__file__).parents[2] / "golden" / "new-mail.txt"


def test_it_is_told_as_in_its_golden_file() -> None:
    told: list[tuple[str, bytes]] = []
    new_mail.tell(lambda subject, payload: told.append((subject, payload)), 2001, b"Maildir/.Sent")
    subject, payload = GOLDEN.read_bytes().rstrip(b"\n").split(b" ")
    assert told == [(subject.decode(), payload)]


def test_it_is_heard_for_the_accounts_that_were_asked_for_until_nobody_asks() -> None:
    async def talk() -> None:
        bus = MemoryBus()
        heard: list[int] = []
        watched: list[Message] = []
        subscription = await new_mail.hear(bus, 2001, heard.append)
        await bus.subscribe("new.*", watched.append)
        for uid in (2001, 2002):
            new_mail.tell(bus.publish, uid, b"Maildir")
        await asyncio.sleep(0)
        assert heard == [2001] and len(watched) == 2
        await subscription.stop()
        new_mail.tell(bus.publish, 2001, b"Maildir")
        await asyncio.sleep(0)
        assert heard == [2001] and len(watched) == 3

    asyncio.run(talk())
