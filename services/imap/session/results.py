"""What the side with I/O answers to the session: facts that the session turns into a tagged reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qmail.accounts.assign import Account


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a command: untagged lines, whole with CRLF, and the tagged reply's word, code and text; without a text
    the command is completed.

    `selected`: whether a mailbox is selected now; None: as before. `why`: the rest of the reason, for the log alone;
    `noted`: what is wrong with which file was told to the log already."""

    kind: bytes = b"OK"
    text: bytes = b""
    lines: tuple[bytes, ...] = ()
    code: bytes = b""
    selected: bool | None = None
    why: str = ""
    noted: bool = False


@dataclass(frozen=True, slots=True)
class CutShort:
    """An untagged answer could not be given to its end: nothing more can be said, the connection must close."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The password was right."""

    account: Account


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """`temporary`: nobody could be asked, or, `crowded`, the account has too many sessions; else user or password is
    wrong."""

    temporary: bool
    crowded: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The handler takes the message that APPEND announced."""


@dataclass(frozen=True, slots=True)
class Updates:
    """Untagged lines to tell at once (IDLE)."""

    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """Event: the selected mailbox may have changed."""
