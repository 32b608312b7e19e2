"""Messages read before they are asked for: a client that takes one after the other waits for no thread. Pure."""

from __future__ import annotations

from services.pop3.requests import Message

# Read with one message: so many that follow, of so many octets together.
MESSAGES = 32
BYTES = 64 * 1024
# A client that goes to and fro is looked for in the list so often, and then not any more.
_SEARCHES = 3


class Ahead:
    """One session's. What was read is given once."""

    def __init__(self, messages: tuple[Message, ...]) -> None:
        self._messages = messages
        self._next = 0
        self._in_order = 0
        self._searches = 0
        self._read: dict[Message, bytes] = {}

    def take(self, message: Message) -> bytes | None:
        """The octets of a message that was read ahead."""
        octets = self._read.pop(message, None)
        if octets is not None:
            self._next += 1
        else:
            self._read.clear()
        return octets

    def following(self, message: Message) -> tuple[Message, ...]:
        """What is to be read with a message: nothing until two came in order."""
        place = self._place(message)
        self._in_order = self._in_order + 1 if place == self._next else 1
        self._next = place + 1
        return self._messages[self._next : self._next + MESSAGES] if self._in_order > 1 else ()

    def _place(self, message: Message) -> int:
        if self._messages[self._next : self._next + 1] == (message,):
            return self._next
        if self._searches >= _SEARCHES:
            return len(self._messages)
        self._searches += 1
        return next((n for n, one in enumerate(self._messages) if one is message), len(self._messages))

    def keep(self, read: dict[Message, bytes]) -> None:
        """These were read."""
        self._read = read
