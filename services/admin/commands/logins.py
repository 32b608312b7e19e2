"""`qmailctl logins`: who has to wait for wrong passwords, and `qmailctl logins lift` to let them try at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from qmail.bus.connect import connect_user
from qmail.bus.ports import Bus
from qmail.bus.talk import logins as talk
from qmail.bus.talk.logins import Slowed
from qmail.message.printable import printable
from services.admin.commands.deployment import Deployment, Usage

LIMIT_SECONDS = 20.0


def logins(deployment: Deployment, arguments: list[str]) -> int:
    """List, or lift for an account, an address or all; 1 where nothing stood against whom was named.

    Raises Usage, and BusDown, TimeoutError or CredentialsError where auth cannot be asked."""
    match arguments:
        case []:
            payload = _ask(deployment, lambda bus: bus.request(talk.SLOWED, b"", talk.ASK_SECONDS))
            print(render(talk.parse_slowed(payload), time.time()), end="")
            return 0
        case ["lift", who]:
            payload = _ask(deployment, lambda bus: bus.request(talk.LIFT, talk.encode_lift(who), talk.ASK_SECONDS))
            lifted = talk.parse_lifted(payload)
            print(f"{lifted} lifted" if lifted else f"nothing stands against {printable(who)}")
            return 0 if lifted else 1
    raise Usage


def render(slowed: Sequence[Slowed], now: float) -> str:
    """A line each; a sentence where nobody is slowed."""
    return "".join([_line(one, now) for one in slowed]) or "nobody is slowed\n"


def _line(one: Slowed, now: float) -> str:
    account = printable(one.account.encode("latin-1", "replace"))
    whom = {
        "address": f"{printable(one.network)} (all accounts)",
        "account": f"{account} (all addresses that it is not known to use)",
    }.get(one.kind, f"{account} from {printable(one.network)}")
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.since))
    return f"{whom}: {one.wrong} wrong passwords since {since}, next attempt in {max(0.0, one.next - now):.0f} s\n"


def _ask(deployment: Deployment, question: Callable[[Bus], Awaitable[bytes]]) -> bytes:
    async def ask() -> bytes:
        bus = await connect_user("admin", deployment.directories.paths, deployment.environ)
        try:
            return await question(bus)
        finally:
            await bus.close()

    return asyncio.run(asyncio.wait_for(ask(), LIMIT_SECONDS))
