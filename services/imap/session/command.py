"""A row of the table of commands: all that is known of one command (RFC 3501 section 6). The table itself is
`services.imap.commands`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from qmail.door.session import Effect
from services.imap.grammar.command import Parser
from services.imap.session.results import Answer


class State(Enum):
    """RFC 3501 section 3."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"


ANY = frozenset(State)
BEFORE_LOGIN = frozenset((State.NOT_AUTHENTICATED,))
AFTER_LOGIN = ANY - BEFORE_LOGIN
SELECTED = frozenset((State.SELECTED,))

#: What a command means to the connection: takes the Dialogue, the row and the arguments.
Step: TypeAlias = Callable[[Any, Any, Any], list[Effect]]
#: Untagged lines in pieces, then the Answer.
Answering: TypeAlias = Generator[bytes, None, Answer]
#: What a command does to mailboxes: takes the MailboxSession and the arguments; blocks, and runs as the account.
Operation: TypeAlias = Callable[[Any, Any], Answer | Answering]


@dataclass(frozen=True, slots=True)
class Command:
    """`states`: where it is allowed. `parse`: takes the arguments; None: there are none. `step` is taken where there is
    one, and may leave the command to `operation`. `capability`: what is announced because the command is there."""

    name: bytes
    states: frozenset[State]
    parse: Parser | None = None
    step: Step | None = None
    operation: Operation | None = None
    capability: bytes = b""
    takes_message: bool = False
    #: Whether messages may be reported as gone with its answer (RFC 3501 section 7.4.1).
    tells_expunged: bool = True
    #: Whether it names messages by UID: what changed meanwhile is told with UIDs then.
    by_uid: bool = False
    #: Whether other sessions may have something to be told after it.
    announced: bool = False


#: The table, by name.
Commands: TypeAlias = Mapping[bytes, Command]
