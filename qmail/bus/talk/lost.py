"""`lost`: which records of IN are not there. Told by the scheduler, remembered by admin, who then answers.

Whoever tells it hears in ASK_SECONDS that it is remembered, or tells it again.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from qmail.bus.ports import Bus, Subscription
from qmail.bus.talk.messages import AskBus, Malformed, answer_each, require_version, require_whole, strict

SUBJECT: Final = "lost"
VERSION: Final = 1
ASK_SECONDS: Final = 5.0
REMEMBERED: Final = b""

#: First and last sequence.
Range = tuple[int, int]


def encode(ranges: Sequence[Range]) -> bytes:
    """The message (docs/formats.md; tests/golden/lost-1.json)."""
    return json.dumps({"v": VERSION, "ranges": ranges}).encode("ascii")


@strict("a list of lost records")
def decode(payload: bytes) -> list[Range]:
    """Raises Malformed."""
    f = json.loads(payload)
    require_version(f, VERSION)
    return [_range(*row) for row in f["ranges"]]


def _range(first: int, last: int) -> Range:
    require_whole(first, last)
    return first, last


async def tell(bus: AskBus, ranges: Sequence[Range]) -> None:
    """The scheduler's end: returns when it is remembered. Raises BusDown."""
    await bus.request(SUBJECT, encode(ranges), ASK_SECONDS)


async def remember(
    bus: Bus, take: Callable[[list[Range]], Awaitable[None]], ignored: Callable[[Malformed], None]
) -> Subscription:
    """admin's end: have it given to `take`, and answer when that is done; what is malformed goes to `ignored`, and to
    it there is no answer. Raises BusDown."""

    async def respond(payload: bytes) -> bytes | None:
        try:
            ranges = decode(payload)
        except Malformed as error:
            ignored(error)
            return None
        await take(ranges)
        return REMEMBERED

    return await answer_each(bus, SUBJECT, respond, group="")
