"""`event.log.<name>`: lines of a log, said by every role, written to its directory by log.

Events explain and are never the truth. While the bus is away they are lost to the directories, and standard output has
them; while log is away the stream EVENTS keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from qmail.bus.talk.messages import Malformed
from qmail.log.log import Log
from qmail.message.printable import printable

SUBJECTS: Final = ("event.log.*",)
#: Lines of one event at most.
GROUP_LINES: Final = 200
#: What is longer is cut by the reader; a role cuts its own at less (qmail.log.log).
MAX_LINE_CHARACTERS: Final = 4200

_PREFIX: Final = "event.log."
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_STAMP: Final = re.compile(r"@[0-9a-f]{24} ")


@dataclass(frozen=True, slots=True)
class LogLines:
    """Lines of the log `name`, each after its TAI64N stamp."""

    name: str
    lines: tuple[str, ...]


def encode(lines: Sequence[str]) -> bytes:
    """The event's payload (tests/golden/log-lines.txt)."""
    return ("\n".join(lines) + "\n").encode()


def decode(subject: str, payload: bytes) -> LogLines:
    """What a role sends is not believed: lines without a stamp are dropped, others made printable and cut.

    Raises Malformed where the name is that of no log."""
    name = subject.removeprefix(_PREFIX)
    if not _NAME.fullmatch(name):
        raise Malformed(f"not a log: {subject}")
    lines = payload.decode("utf-8", "surrogateescape").split("\n")
    return LogLines(name, tuple([printable(line)[:MAX_LINE_CHARACTERS] for line in lines if _STAMP.match(line)]))


def say(publish: Callable[[str, bytes], None], name: str, lines: Sequence[str]) -> None:
    """A role's end; `publish` is the bus's."""
    for start in range(0, len(lines), GROUP_LINES):
        publish(f"{_PREFIX}{name}", encode(lines[start : start + GROUP_LINES]))


def attach(log: Log, publish: Callable[[str, bytes], None]) -> None:
    """Have every further line of a role's log said on the bus as well."""
    log.attach(partial(say, publish, log.name))
