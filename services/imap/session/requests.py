"""What the session asks of the side with I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.imap.grammar.folders import Append
from services.imap.session.command import Command


@dataclass(frozen=True, slots=True, repr=False)
class CheckPassword:
    """Is this user's password right? Answered by LoggedIn or LoginRefused.

    origin: the client's address, where a front end has told one by ID."""

    user: bytes
    password: bytes
    tls: bool
    origin: bytes = b""


@dataclass(frozen=True, slots=True)
class Execute:
    """Carry the command's operation out. Answered by an Answer, or CutShort."""

    tag: bytes
    command: Command
    arguments: Any = None


@dataclass(frozen=True, slots=True)
class AppendBegin:
    """A message of `size` octets is announced. Answered by Ready, or by an Answer that refuses it."""

    arguments: Append
    size: int


@dataclass(frozen=True, slots=True)
class AppendData:
    """The next octets of the announced message. Answered by Ready."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AppendCommit:
    """All announced messages are complete. Answered by an Answer."""


@dataclass(frozen=True, slots=True)
class AppendAbort:
    """The client's command turned out wrong: nothing is to be stored. Answered by Ready."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Look at the selected mailbox for an idling client. Answered by Updates."""


@dataclass(frozen=True, slots=True)
class IdleBegin:
    """The client idles from now on. Answered by Updates."""


@dataclass(frozen=True, slots=True)
class IdleEnd:
    """The client has ended its idling. Answered by Updates."""
