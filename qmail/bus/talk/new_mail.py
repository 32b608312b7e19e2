"""`new.<uid>`: something changed in a mailbox of that uid. Told by delivery-local and by imap, heard by imap.

The payload, for whoever watches the bus, is the folder's path below the home; those who hear it look at the whole
account. It is lost where nobody listens or the bus is away: imap looks at what idles every LOOK_SECONDS all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from qmail.bus.ports import Bus, Message, Subscription

SUBJECTS: Final = ("new.*",)
LOOK_SECONDS: Final = 30


def tell(publish: Callable[[str, bytes], None], uid: int, folder: bytes) -> None:
    """Tell whoever listens for that uid; `publish` is the bus's."""
    publish(f"new.{uid}", folder)


async def hear(bus: Bus, uid: int, changed: Callable[[int], None]) -> Subscription:
    """Have `changed` called with the uid each time. Raises BusDown."""

    def take(_: Message) -> None:
        changed(uid)

    return await bus.subscribe(f"new.{uid}", take)
