"""What has to wait while a session waits for an answer: what the client sent meanwhile, and events."""

from __future__ import annotations

#: Events kept for a session while it awaits an answer. Handlers notify "look again", not the news itself,
#: so equal events are kept once and more than this many different ones do not occur.
HELD_EVENTS = 64


class Held:
    """One connection's."""

    __slots__ = ("_events", "_pieces", "size_bytes")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._events: list[object] = []
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._pieces or self._events)

    @property
    def data(self) -> bool:
        """Whether there is anything that the client has sent."""
        return bool(self._pieces)

    def keep(self, data: bytes) -> None:
        self._pieces.append(data)
        self.size_bytes += len(data)

    def keep_event(self, event: object) -> bool:
        """False: it is kept already, or there are too many."""
        if event in self._events or len(self._events) >= HELD_EVENTS:
            return False
        self._events.append(event)
        return True

    def take_event(self) -> object | None:
        """The eldest, None where there is none."""
        return self._events.pop(0) if self._events else None

    def take_data(self) -> bytes:
        """All that the client has sent."""
        data = b"".join(self._pieces)
        self.forget_data()
        return data

    def forget_data(self) -> None:
        self._pieces.clear()
        self.size_bytes = 0
