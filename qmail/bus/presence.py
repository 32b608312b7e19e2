"""What each process of a role says of itself when admin asks `control.stat` (docs/formats.md).

The bus knows who is connected; since when a process runs, which copy of its role it is and what is wrong with it, only
it can tell.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qmail.bus import subjects
from qmail.bus.ports import Bus, Message
from qmail.log.notices import Notices, Standing

VERSION = 1
# A record of the bus has at most 1 MB, and there may be 200 of these (qmail.log.notices).
MAX_TEXT_CHARACTERS = 500
_START_TIME = 19  # field 22 of proc_pid_stat(5), counted from behind the name


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """One process; `host` is its container's name, `seconds` its age."""

    role: str
    host: str
    pid: int
    seconds: float
    standing: tuple[Standing, ...] = ()


def age_seconds() -> float:
    """How long this process has run; neither the clock nor the bus changes it. Raises OSError without /proc."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK")


def myself(role: str, standing: Sequence[Standing]) -> Presence:
    """This process, now."""
    return Presence(
        role=role, host=socket.gethostname(), pid=os.getpid(), seconds=age_seconds(), standing=tuple(standing)
    )


def encode(presence: Presence) -> bytes:
    """The answer to `control.stat`."""
    standing = [[each.key, each.text[:MAX_TEXT_CHARACTERS], each.since] for each in presence.standing]
    return json.dumps(
        {
            "v": VERSION,
            "role": presence.role,
            "host": presence.host,
            "pid": presence.pid,
            "seconds": round(presence.seconds, 3),
            "standing": standing,
        }
    ).encode("ascii")


def decode(payload: bytes) -> Presence:
    """Raises ValueError for anything else."""
    try:
        found = json.loads(payload)
        if found["v"] != VERSION:
            raise ValueError(f"version {found['v']}; expected {VERSION}")
        return Presence(
            role=str(found["role"]),
            host=str(found["host"]),
            pid=int(found["pid"]),
            seconds=float(found["seconds"]),
            standing=tuple(Standing(str(key), str(text), float(since)) for key, text, since in found["standing"]),
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not the word of a role: {error}") from error


async def answer_stat(bus: Bus, role: str, notices: Notices | None) -> None:
    """Answer from now on, for as long as the connection is there. Raises BusDown."""

    def take(message: Message) -> None:
        if message.reply:
            bus.publish(message.reply, encode(myself(role, notices.standing if notices is not None else ())))

    await bus.subscribe(subjects.STAT, take)
