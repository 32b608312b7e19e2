"""Commands as facts. One class a command; UID FETCH and FETCH are one command with `uid`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from services.imap.grammar.fetch import FetchItem
from services.imap.grammar.sequence import SequenceSet
from services.imap.grammar.tokens import Token

ANY, NOT_AUTHENTICATED, AUTHENTICATED, SELECTED = "any", "not authenticated", "authenticated", "selected"


@dataclass(frozen=True, slots=True)
class Command:
    """A command without its tag. `state`: where it is allowed (AUTHENTICATED includes SELECTED)."""

    state: ClassVar[str] = ANY
    #: Whether messages may be reported as gone while it is answered (RFC 3501 section 7.4.1).
    tells_expunged: ClassVar[bool] = True
    verb: ClassVar[bytes] = b""


@dataclass(frozen=True, slots=True)
class Capability(Command):
    verb = b"CAPABILITY"


@dataclass(frozen=True, slots=True)
class Noop(Command):
    verb = b"NOOP"


@dataclass(frozen=True, slots=True)
class Logout(Command):
    verb = b"LOGOUT"


@dataclass(frozen=True, slots=True)
class Id(Command):
    """RFC 2971; `fields` are the client's own words, for the log."""

    verb = b"ID"
    fields: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class StartTlsCommand(Command):
    verb = b"STARTTLS"
    state = NOT_AUTHENTICATED


@dataclass(frozen=True, slots=True)
class Authenticate(Command):
    """`initial`: the client's first answer, still in base64 (SASL-IR, RFC 4959); None: it will be asked for."""

    verb = b"AUTHENTICATE"
    state = NOT_AUTHENTICATED
    mechanism: bytes
    initial: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Login(Command):
    verb = b"LOGIN"
    state = NOT_AUTHENTICATED
    user: bytes
    password: bytes


@dataclass(frozen=True, slots=True)
class Mailbox(Command):
    """A command that only names a mailbox."""

    state = AUTHENTICATED
    mailbox: bytes


@dataclass(frozen=True, slots=True)
class Select(Mailbox):
    verb = b"SELECT"


@dataclass(frozen=True, slots=True)
class Examine(Mailbox):
    verb = b"EXAMINE"


@dataclass(frozen=True, slots=True)
class Create(Mailbox):
    """`use`: the special uses asked for (RFC 6154 section 3), which only go with the right name."""

    verb = b"CREATE"
    use: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete(Mailbox):
    verb = b"DELETE"


@dataclass(frozen=True, slots=True)
class Rename(Mailbox):
    verb = b"RENAME"
    to: bytes


@dataclass(frozen=True, slots=True)
class Subscribe(Mailbox):
    verb = b"SUBSCRIBE"


@dataclass(frozen=True, slots=True)
class Unsubscribe(Mailbox):
    verb = b"UNSUBSCRIBE"


@dataclass(frozen=True, slots=True)
class List(Command):
    """LIST with RFC 5258's selection and return options; STATUS items by RFC 5819."""

    verb = b"LIST"
    state = AUTHENTICATED
    reference: bytes
    patterns: tuple[bytes, ...]
    select: tuple[bytes, ...] = ()
    give: tuple[bytes, ...] = ()
    status: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Lsub(Command):
    verb = b"LSUB"
    state = AUTHENTICATED
    reference: bytes
    pattern: bytes


@dataclass(frozen=True, slots=True)
class Status(Mailbox):
    verb = b"STATUS"
    items: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Append(Mailbox):
    """What stands before a message's literal; `date` in seconds since the epoch, None: now."""

    verb = b"APPEND"
    flags: tuple[bytes, ...]
    date: int | None


@dataclass(frozen=True, slots=True)
class Namespace(Command):
    verb = b"NAMESPACE"
    state = AUTHENTICATED


@dataclass(frozen=True, slots=True)
class Enable(Command):
    verb = b"ENABLE"
    state = AUTHENTICATED
    names: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Idle(Command):
    verb = b"IDLE"
    state = AUTHENTICATED


@dataclass(frozen=True, slots=True)
class Check(Command):
    verb = b"CHECK"
    state = SELECTED


@dataclass(frozen=True, slots=True)
class Close(Command):
    verb = b"CLOSE"
    state = SELECTED


@dataclass(frozen=True, slots=True)
class Unselect(Command):
    verb = b"UNSELECT"
    state = SELECTED


@dataclass(frozen=True, slots=True)
class Expunge(Command):
    """`uids`: only these (UID EXPUNGE, RFC 4315 section 2.1)."""

    verb = b"EXPUNGE"
    state = SELECTED
    uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Search(Command):
    """`returns`: None for plain SEARCH, else ESEARCH's result options (RFC 4731)."""

    verb = b"SEARCH"
    state = SELECTED
    tells_expunged = False
    tokens: tuple[Token, ...]
    uid: bool
    returns: frozenset[bytes] | None = None


@dataclass(frozen=True, slots=True)
class OnMessages(Command):
    """A command on a set of messages, by number or by UID."""

    state = SELECTED
    messages: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class Fetch(OnMessages):
    verb = b"FETCH"
    tells_expunged = False
    items: tuple[FetchItem, ...]


@dataclass(frozen=True, slots=True)
class Store(OnMessages):
    """`mode`: `+`, `-` or empty for replace."""

    verb = b"STORE"
    tells_expunged = False
    mode: bytes
    silent: bool
    flags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Copy(OnMessages):
    verb = b"COPY"
    mailbox: bytes


@dataclass(frozen=True, slots=True)
class Move(OnMessages):
    verb = b"MOVE"
    mailbox: bytes
