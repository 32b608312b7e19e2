"""The messages of one session as the client sees them: numbers, sizes, what is deleted (RFC 1939 section 5). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from services.pop3 import replies
from services.pop3.grammar import scan_number, whole_number
from services.pop3.requests import Message, Update


class Refused(Exception):
    """No message can be meant; `reply` says why."""

    def __init__(self, reply: bytes) -> None:
        super().__init__(reply)
        self.reply = reply


class Maildrop:
    """`classic`: count and read numbers as qmail-pop3d does."""

    def __init__(self, messages: tuple[Message, ...], *, classic: bool) -> None:
        self._messages = messages
        self._classic = classic
        self._deleted: set[int] = set()
        #: Without the deleted.
        self.size_bytes = self._total_bytes()
        #: The highest number deleted (LAST, RFC 1460).
        self.last = 0

    def _total_bytes(self) -> int:
        return sum(message.size_bytes for message in self._messages)

    @property
    def count(self) -> int:
        """qmail-pop3d counts the deleted in the number, not in the size; RFC 1939 in neither."""
        return len(self._messages) - (0 if self._classic else len(self._deleted))

    def present(self) -> Iterator[tuple[int, Message]]:
        """Number and message, without the deleted."""
        return ((n, message) for n, message in enumerate(self._messages, 1) if n not in self._deleted)

    def meant(self, argument: bytes) -> tuple[int, Message]:
        """Number and message that an argument begins with. Raises Refused."""
        number = scan_number(argument)[0] if self._classic else whole_number(argument)
        if number is None:
            raise Refused(replies.SYNTAX)
        if number == 0:
            raise Refused(replies.FROM_ONE)
        if number > len(self._messages):
            raise Refused(replies.NOT_THAT_MANY)
        if number in self._deleted:
            raise Refused(replies.ALREADY_DELETED)
        return number, self._messages[number - 1]

    def delete(self, number: int, message: Message) -> None:
        """At QUIT."""
        self._deleted.add(number)
        self.size_bytes -= message.size_bytes
        self.last = max(self.last, number)

    def reset(self) -> None:
        """Nothing is deleted."""
        if self._deleted:
            self._deleted.clear()
            self.size_bytes = self._total_bytes()
        self.last = 0

    def update(self) -> Update:
        """What QUIT does: to the deleted, and to what was new."""
        deleted = tuple(message for n, message in enumerate(self._messages, 1) if n in self._deleted)
        return Update(deleted, tuple(message for _, message in self.present() if message.is_new))
