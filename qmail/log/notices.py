"""What a role has to tell an administrator beside its work: each refusal, what it cannot read, and what still stands.

Two forms of line, the same in every role's log:

    refused KIND WHO: WHAT: WHY          an event; of many alike only some are written, the others counted
    alert: WHAT                          something that stands until it is mended; `mended: WHAT` ends it

WHO is an address, an account or a host; WHAT is the command, file or connection; WHY is the reply, the error or the
right that was missing. `qmailctl stat` repeats what stands.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

# Refusals of one kind and one WHO: so many lines at once, and one more each so many seconds.
BURST_LINES = 20
SECONDS_PER_LINE = 10.0
# Of so many (kind, WHO) it is remembered how many lines they had; the longest silent are forgotten first.
MAX_REMEMBERED = 4096
# No role has so much wrong with it; beyond this what stands is written to the log alone.
MAX_STANDING = 200
# Of so many things it is counted how often they happened.
MAX_COUNTED = 300


class Refused(StrEnum):
    """The kinds of refusals; docs/formats.md lists them."""

    CONNECTION = "connection"  # limits, rules of tcp.smtp, PROXY
    TLS = "tls"  # a handshake that failed, either side's fault
    LOGIN = "login"  # wrong password, log-in that is slowed or shut
    COMMAND = "command"  # a 4xx or 5xx, -ERR, NO or BAD to any command but the next three
    SENDER = "sender"
    RECIPIENT = "recipient"
    MESSAGE = "message"  # at DATA or APPEND
    FILE = "file"  # a file that cannot be read: which, and which right is missing


@dataclass(frozen=True, slots=True)
class Standing:
    """Something wrong that has not been mended; `since` in seconds since 1970."""

    key: str
    text: str
    since: float


@dataclass(slots=True)
class _Told:
    allowance: float
    at: float
    unsaid: int = 0


class Notices:
    """One process's notices. `line` takes a log line; neither method raises."""

    def __init__(
        self,
        line: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line, self._clock, self._monotonic = line, clock, monotonic
        self._told: OrderedDict[tuple[Refused, str], _Told] = OrderedDict()
        self._standing: dict[str, Standing] = {}
        self._counts: Counter[str] = Counter()

    def refused(self, kind: Refused, who: str, what: str, why: str) -> None:
        """An event. Log makes the text printable and bounds its length."""
        unsaid = self._may_tell(kind, who)
        if unsaid is not None:
            more = f" ({unsaid} more not written)" if unsaid else ""
            self._line(f"refused {kind} {who}: {what}: {why}{more}")

    def _may_tell(self, kind: Refused, who: str) -> int | None:
        """How many were not written since the last line; None where this one is not written either."""
        now = self._monotonic()
        told = self._told.pop((kind, who), None) or _Told(BURST_LINES, now)
        self._told[kind, who] = told
        if len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        told.allowance = min(BURST_LINES, told.allowance + (now - told.at) / SECONDS_PER_LINE)
        told.at = now
        if told.allowance < 1:
            told.unsaid += 1
            return None
        told.allowance -= 1
        unsaid, told.unsaid = told.unsaid, 0
        return unsaid

    def count(self, what: str) -> None:
        """Something happened once more, as an entry of a list that refused."""
        if what in self._counts or len(self._counts) < MAX_COUNTED:
            self._counts[what] += 1

    def stands(self, key: str, text: str) -> None:
        """Something is wrong until `mended(key)`; said once, and again where the text changes."""
        before = self._standing.get(key)
        if before is not None and before.text == text:
            return
        if before is not None or len(self._standing) < MAX_STANDING:
            self._standing[key] = Standing(key, text, self._clock())
        self._line(f"alert: {text}")

    def mended(self, key: str) -> None:
        """It is right again; nothing happens where nothing stood."""
        before = self._standing.pop(key, None)
        if before is not None:
            self._line(f"mended: {before.text}")

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """What was counted since the process began, the most frequent first."""
        return tuple(self._counts.most_common())

    @property
    def standing(self) -> tuple[Standing, ...]:
        """What stands, the eldest first."""
        return tuple(self._standing.values())
