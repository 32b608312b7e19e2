"""How long a client may stay: until it is idle for too long, or has accomplished nothing for too long. Pure."""

from __future__ import annotations

from qmail.door.session import Session


class Stay:
    """One client's. Times are the loop's."""

    __slots__ = ("_accomplished", "heard", "sent_bytes", "since")

    def __init__(self, now: float) -> None:
        #: When the client last did something: said a word, took what was written, had its answer. Events do not count,
        #: or a client that has vanished in IDLE would be kept for ever.
        self.heard = now
        #: Since when it has accomplished nothing, and how much it has sent since.
        self.since = now
        self.sent_bytes = 0
        self._accomplished = 0

    def reckon(self, session: Session, now: float) -> None:
        """Begin the patience anew where the client has accomplished something."""
        if session.accomplished != self._accomplished:
            self._accomplished = session.accomplished
            self.since, self.sent_bytes = now, 0

    def ends(self, session: Session) -> float:
        """When it is over, unless the client does something."""
        idle = self.heard + session.timeout_seconds
        patience = session.patience
        return idle if patience is None else min(idle, self.since + patience.allows(self.sent_bytes))
