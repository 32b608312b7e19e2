"""`control.stat`: who are you, and what is wrong with you? Asked by admin (`qmailctl stat`), answered by every process.

The bus knows who is connected; since when a process runs, which copy of its role it is and what is wrong with it, only
it can tell. A process that does not answer in ASK_SECONDS hangs.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qmail.bus.ports import Bus, Message, Subscription
from qmail.bus.talk.messages import hear, require_version, strict, text, whole
from qmail.log.notices import Notices, Standing

SUBJECT: Final = "control.stat"
ASK_SECONDS: Final = 3.0
VERSION: Final = 1
# A record of the bus has at most 1 MB, and there may be 200 of these (qmail.log.notices).
MAX_TEXT_CHARACTERS = 500
MAX_COUNTED_CHARACTERS = 100
_START_TIME = 19  # field 22 of proc_pid_stat(5), counted from behind the name


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """One process; `host` is its container's name, `seconds` its age; `counts`: what it has counted, and how often."""

    role: str
    host: str
    pid: int
    seconds: float
    standing: tuple[Standing, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()


def age_seconds() -> float:
    """How long this process has run; neither the clock nor the bus changes it. Raises OSError without /proc."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK")


def myself(role: str, notices: Notices | None) -> Presence:
    """This process, now."""
    return Presence(
        role=role,
        host=socket.gethostname(),
        pid=os.getpid(),
        seconds=age_seconds(),
        standing=notices.standing if notices is not None else (),
        counts=notices.counts if notices is not None else (),
    )


def encode(presence: Presence) -> bytes:
    """The answer to `control.stat`."""
    standing = [[each.key, each.text[:MAX_TEXT_CHARACTERS], each.since] for each in presence.standing]
    fields = {
        "v": VERSION,
        "role": presence.role,
        "host": presence.host,
        "pid": presence.pid,
        "seconds": round(presence.seconds, 3),
        "standing": standing,
    }
    if presence.counts:
        fields["counts"] = [[what[:MAX_COUNTED_CHARACTERS], number] for what, number in presence.counts]
    return json.dumps(fields).encode("ascii")


@strict("the word of a role")
def decode(payload: bytes) -> Presence:
    """Raises Malformed."""
    f = json.loads(payload)
    require_version(f, VERSION)
    return Presence(
        role=text(f["role"]),
        host=text(f["host"]),
        pid=whole(f["pid"]),
        seconds=float(f["seconds"]),
        standing=tuple([Standing(text(key), text(what), float(since)) for key, what, since in f["standing"]]),
        # A role of the release before has none.
        counts=tuple([(text(what), whole(number)) for what, number in f.get("counts", ())]),
    )


async def answer(bus: Bus, role: str, notices: Notices | None) -> None:
    """Answer from now on, for as long as the connection is there. Raises BusDown."""

    def take(message: Message) -> None:
        if message.reply:
            bus.publish(message.reply, encode(myself(role, notices)))

    await bus.subscribe(SUBJECT, take)


async def ask(bus: Bus, present: Callable[[Presence], None]) -> Subscription:
    """admin's end: ask every process once, and have each answer given to `present` until the subscription is stopped.
    What is no answer of ours is passed over: its process is silent. Raises BusDown."""
    inbox = f"_INBOX_admin.stat.{secrets.token_hex(8)}"
    subscription = await hear(bus, inbox, decode, present)
    bus.publish(SUBJECT, b"", inbox)
    return subscription
