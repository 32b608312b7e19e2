"""`qmailctl stat` asks every process of every role once, on the bus, and waits until all who hear it have answered."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from qmail.bus import presence, subjects
from qmail.bus.ports import Bus, Message
from qmail.bus.presence import Presence

# A process that cannot answer in this time hangs.
LIMIT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Roll:
    """Who answered, and how many of a role are connected and did not."""

    present: tuple[Presence, ...]
    silent: Mapping[str, int]

    def is_up(self, role: str) -> bool:
        """Whether every process that a role has on the bus answers, and there is one."""
        return role not in self.silent and any(each.role == role for each in self.present)


def hearing(connections: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Role -> how many of its processes hear the question, from the bus's list of connections (/connz)."""
    listeners = (each for each in connections if subjects.STAT in (each.get("subscriptions_list") or ()))
    return Counter(str(each.get("authorized_user", "")) for each in listeners)


async def call_roll(bus: Bus, expected: Counter[str], limit_seconds: float = LIMIT_SECONDS) -> Roll:
    """Ask, and return when all have answered or the limit has passed. Raises BusDown."""
    present: list[Presence] = []
    missing, complete = expected.copy(), asyncio.Event()

    def take(message: Message) -> None:
        # What is no answer of ours is not counted: its process is said to be silent.
        with contextlib.suppress(ValueError):
            answer = presence.decode(message.payload)
            present.append(answer)
            missing[answer.role] -= 1
            if not +missing:
                complete.set()

    inbox = f"_INBOX_admin.stat.{secrets.token_hex(8)}"
    subscription = await bus.subscribe(inbox, take)
    bus.publish(subjects.STAT, b"", inbox)
    if +missing:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(complete.wait(), limit_seconds)
    await subscription.stop()
    return Roll(tuple(sorted(present, key=lambda each: -each.seconds)), +missing)
