"""`control.flush`: forget which hosts did not answer (`qmailctl flush`).

Told by the scheduler, heard by delivery-remote. Where nobody hears it nothing is lost: a worker that starts knows of no
such host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from qmail.bus.ports import Bus, Subscription

SUBJECT: Final = "control.flush"


def tell(bus: Bus) -> None:
    """The scheduler's end."""
    bus.publish(SUBJECT, b"")


async def hear(bus: Bus, forget: Callable[[], None]) -> Subscription:
    """delivery-remote's end. Raises BusDown."""
    return await bus.subscribe(SUBJECT, lambda _: forget())
