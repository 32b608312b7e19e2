"""When a deferred channel of a message is tried again: qmail-send's quadratic schedule.

Source: qmail-send.c nextretry(); every recorded row of kind `retry` obeys it. Pure.
"""

from __future__ import annotations

from math import isqrt

# The n-th pause grows by this many seconds less one, per channel (qmail-send.c chanskip).
SKIP_SECONDS = {"local": 10, "remote": 20}


def next_attempt(birth: int, now: int, channel: str) -> int:
    """The time of the next attempt after one at `now`, in seconds since the epoch."""
    age = max(0, now - birth)
    return birth + (isqrt(age) + SKIP_SECONDS[channel]) ** 2


def is_dying(birth: int, now: int, lifetime_seconds: int) -> bool:
    """Whether an attempt begun at `now` is the last: deferrals in it become failures."""
    return now > birth + lifetime_seconds
