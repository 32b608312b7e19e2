"""`abort`: a message whose body is half-stored and that nobody will commit.

Told by whoever put it, heard by the scheduler, which removes what there is.

Where nobody says it, or nobody hears it, the body is given up GIVEN_UP_SECONDS after its last piece.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from qmail.bus.ports import Bus, Subscription
from qmail.bus.talk.messages import hear as hear_each
from qmail.bus.talk.messages import strict

SUBJECT: Final = "abort"
#: qmail-smtpd's timeoutsmtpd and five minutes. Whoever stores a body refuses to commit it when no new piece has been
#: stored for so long; later the scheduler removes what there is of it.
GIVEN_UP_SECONDS: Final = 1500
# Numbers are below 2^63.
_MAX_DIGITS: Final = 19


def encode(message_id: int) -> bytes:
    """The message (tests/golden/abort.txt)."""
    return b"%d" % message_id


@strict("a message number")
def decode(payload: bytes) -> int:
    """Raises Malformed."""
    if not payload.isdigit() or len(payload) > _MAX_DIGITS:
        raise ValueError(f"{payload[: 2 * _MAX_DIGITS]!r}")
    return int(payload)


def tell(bus: Bus, message_id: int) -> None:
    """The end of whoever put it."""
    bus.publish(SUBJECT, encode(message_id))


async def hear(bus: Bus, remove: Callable[[int], None]) -> Subscription:
    """The scheduler's end: have each message's number given to `remove`. Raises BusDown."""
    return await hear_each(bus, SUBJECT, decode, remove)
