"""`ask.disk`: is the disk below the bus full? Asked by whoever stores in vain, answered by admin.

A server that cannot write says nothing. Where admin says nothing either in ASK_SECONDS, the disk is not taken for full.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from qmail.bus.ports import Bus, BusDown, Message, Subscription
from qmail.bus.talk.messages import AskBus

SUBJECT: Final = "ask.disk"
ASK_SECONDS: Final = 2.0
FULL: Final = b"full"
ROOM: Final = b"room"


async def is_full(bus: AskBus) -> bool:
    """What admin says. Never raises."""
    try:
        return await bus.request(SUBJECT, b"", ASK_SECONDS) == FULL
    except BusDown:
        return False


async def answer(bus: Bus, has_room: Callable[[], bool]) -> Subscription:
    """admin's end: answer from now on. Raises BusDown."""

    def take(message: Message) -> None:
        bus.publish(message.reply, ROOM if has_room() else FULL)

    return await bus.subscribe(SUBJECT, take)
