"""`qmailctl stat` asks every process of every role once, on the bus, and waits until all who hear it have answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from qmail.bus.ports import Bus
from qmail.bus.talk import presence
from qmail.bus.talk.presence import Presence


@dataclass(frozen=True, slots=True)
class Presences:
    """Who answered, and how many of a role are connected and did not."""

    present: tuple[Presence, ...]
    silent: Mapping[str, int]

    def is_up(self, role: str) -> bool:
        """Whether every process that a role has on the bus answers, and there is one."""
        return role not in self.silent and any(each.role == role for each in self.present)


def hearing(connections: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Role -> how many of its processes hear the question, from the bus's list of connections (/connz)."""
    listeners = (each for each in connections if presence.SUBJECT in (each.get("subscriptions_list") or ()))
    return Counter(str(each.get("authorized_user", "")) for each in listeners)


async def ask_presences(bus: Bus, expected: Counter[str], limit_seconds: float = presence.ASK_SECONDS) -> Presences:
    """Ask, and return when all have answered or the limit has passed. Raises BusDown."""
    present: list[Presence] = []
    missing, complete = expected.copy(), asyncio.Event()

    def take(answer: Presence) -> None:
        present.append(answer)
        missing[answer.role] -= 1
        if not +missing:
            complete.set()

    subscription = await presence.ask(bus, take)
    if +missing:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(complete.wait(), limit_seconds)
    await subscription.stop()
    return Presences(tuple(sorted(present, key=lambda each: -each.seconds)), +missing)
