"""What a session asks of its handler, and the answers. Pure facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the maildrop as found at login."""

    name: bytes
    base: bytes
    is_new: bool
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Check the password, then look into the mailbox. `timestamp` is set for APOP only."""

    user: bytes
    password: bytes
    timestamp: bytes = b""
    tls: bool = False


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The messages, in the order of their numbers."""

    messages: tuple[Message, ...]


class Refusal(Enum):
    """Why there is no session."""

    WRONG = "wrong"
    TEMPORARY = "temporary"
    CROWDED = "too many sessions"
    NO_MAILDIR = "no maildir"
    NO_SCAN = "no scan"
    FOREIGN_MAILDIR = "foreign maildir"


LoginAnswer: TypeAlias = LoggedIn | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieve:
    """Send OK and the message, without the final dot. Answer: whether it could be opened; or OK and the message, which
    was not sent.

    `body_lines`: at most that many lines of the body (TOP), None for all. `as_stored`: keep CR before LF.
    """

    message: Message
    body_lines: int | None
    as_stored: bool


@dataclass(frozen=True, slots=True)
class Write:
    """Send these pieces. Answer: None."""

    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Update:
    """QUIT: remove the deleted, move what was new to cur. Answer: whether every removal succeeded."""

    deleted: tuple[Message, ...]
    seen: tuple[Message, ...]


Request: TypeAlias = Login | Retrieve | Write | Update
