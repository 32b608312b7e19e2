"""What clients may take of a door: time and memory; places are counted in qmail.door.admission. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Where a door has no place left, whoever accomplished nothing for so long gives his to the next.
SPARE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one process's connections."""

    backlog: int = 511
    #: Client bytes kept while an answer is awaited; beyond it the socket is not read.
    held_bytes: int = 65536
    handshake_seconds: float = 30.0
    #: How long one answer may take, from its last word to the client on. Longer than any that is of use.
    answer_seconds: float = 3600.0
    #: How long a closed connection may take to accept its last bytes.
    linger_seconds: float = 30.0
    #: How long a client may take to hang up that may be sending still when we end.
    hang_up_seconds: float = 5.0
    #: How long sessions may go on after TERM.
    grace_seconds: float = 50.0
    #: How long what was cut off then may take to end.
    abort_seconds: float = 5.0
    sweep_seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client may stay until it accomplishes something, however it talks meanwhile.

    A word in time renews the idle time, and a byte for each is cheap: this is what bounds the whole. `seconds`, and
    the time that what the client has sent takes at `bytes_per_second` (0: nothing is added), up to `longest_seconds`.
    """

    seconds: float
    bytes_per_second: int = 0
    longest_seconds: float = 86_400.0

    def allows(self, sent_bytes: int) -> float:
        """The seconds that a client may stay that has sent so much."""
        if not self.bytes_per_second:
            return self.seconds
        return min(self.seconds + sent_bytes / self.bytes_per_second, self.longest_seconds)

    def is_wasted(self, seconds: float, sent_bytes: int) -> bool:
        """Whether a client that was here for so long, and has sent so much, takes a place that others may need."""
        worth = sent_bytes / self.bytes_per_second if self.bytes_per_second else 0.0
        return seconds > SPARE_SECONDS + worth


#: Until a log-in: who types it by hand, and mistypes it, needs less than ten minutes.
BEFORE_LOGIN: Final = Patience(seconds=600.0)
