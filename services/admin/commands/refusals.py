"""`qmailctl refusals`: how often each entry of badmailfrom and badrcptto has refused, since smtpd's processes began."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from qmail.bus.talk.presence import Presence
from qmail.message.printable import printable
from services.admin.commands.deployment import Deployment, no_arguments
from services.admin.commands.stat import everybody


def refusals(deployment: Deployment, arguments: list[str]) -> int:
    """Print them, the most frequent first. Raises BusDown, TimeoutError, CredentialsError."""
    no_arguments(arguments)
    _, presences = asyncio.run(everybody(deployment))
    print(render(presences.present), end="")
    return 0


def render(present: Iterable[Presence]) -> str:
    """A line an entry."""
    total = Counter[str]()
    for each in present:
        total.update(dict(each.counts))
    return "".join(f"{number:8} {printable(what)}\n" for what, number in total.most_common())
