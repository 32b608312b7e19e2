"""Which messages ended lately: a record whose acknowledgement was lost is stored again by its smtpd, and IN may have
forgotten the first one by then. Pure.
"""

from __future__ import annotations

# Longer than a put is tried (qmail.bus.jetstream, STORE_TIMEOUT_SECONDS, twice).
REMEMBER_SECONDS = 30.0


class RecentlyEnded:
    """Numbers of the last 30 to 60 seconds."""

    def __init__(self) -> None:
        self._now: set[int] = set()
        self._before: set[int] = set()
        self._since = 0.0

    def add(self, message_id: int, monotonic: float) -> None:
        """A message has ended. monotonic: time.monotonic's seconds."""
        if monotonic - self._since >= REMEMBER_SECONDS:
            self._now, self._before, self._since = set(), self._now, monotonic
        self._now.add(message_id)

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._now or message_id in self._before
