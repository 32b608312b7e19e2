"""What a protocol's session and the driver of connections say to each other. Pure: no socket, no clock, no `await`.

A session takes bytes and gives effects; `qmail.door.connection` carries them out. One outstanding `Ask` at most: after
it the session emits nothing until `answered` or `failed`; the server holds back what the client sends then.
After `StartTls` the session must forget every plain-text byte it has buffered (RFC 2595 section 2.4, RFC 3207
section 4.2: commands slipped in before the handshake must not be obeyed after it).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from qmail.door.admission import Admitted, Budget
    from qmail.door.limits import Patience


class Peer(NamedTuple):
    """The two ends of a connection. `tls` is true from the first byte on an implicit-TLS port only.

    `door` is the listener's; `number` counts the connections of this process, for the log."""

    ip: str
    port: int
    local_ip: str
    local_port: int
    tls: bool
    door: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Begin the TLS handshake after what was sent so far; `tls_started` follows, or the connection ends."""


@dataclass(frozen=True, slots=True)
class Close:
    """Flush and close. Nothing after it is carried out.

    `asked`: by the client (QUIT, LOGOUT), who sends no more. Any other may be sending still, and would lose our last
    words to a reset: it is left time to hang up.
    """

    asked: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Have the handler do something with the world outside; `answered` or `failed` follows."""

    request: object


Effect: TypeAlias = Send | StartTls | Close | Ask


@dataclass(frozen=True, slots=True)
class Stopping:
    """Event: the server was told to end. Given through `notified` at once and again after every later step.

    A session in the middle of something returns () and says good-bye (`Send`, `Close`) at its next idle
    moment; one that always returns () is cut off when the grace is over.
    """


class Session(Protocol):
    """One client's dialogue, in any protocol."""

    def connected(self, peer: Peer) -> Sequence[Effect]:
        """The connection stands (on an implicit-TLS port: after the handshake). Usually the greeting."""

    def received(self, data: bytes) -> Sequence[Effect]:
        """More bytes, cut anywhere. The session buffers what is not yet a whole command, within a bound."""

    def answered(self, answer: object) -> Sequence[Effect]:
        """The outstanding Ask's result. The session then goes on with what it has buffered."""

    def failed(self, error: BaseException) -> Sequence[Effect]:
        """The outstanding Ask raised. As `answered` otherwise."""

    def notified(self, event: object) -> Sequence[Effect]:
        """An event the session did not ask for: from the handler (new mail while IDLE), or `Stopping`.
        Never called while an Ask is outstanding: the server keeps the event until the answer is in.
        """

    def tls_started(self) -> Sequence[Effect]:
        """The handshake after `StartTls` succeeded."""

    def timed_out(self) -> Sequence[Effect]:
        """Nothing was heard for `timeout_seconds`. The connection is closed after these effects anyway."""

    def eof(self) -> Sequence[Effect]:
        """The client will send no more; closed after these effects (and their Ask, if any).
        Not called when the connection breaks: then only `Handler.closed` is.
        """

    @property
    def timeout_seconds(self) -> float:
        """Idle time allowed now: each word of the client begins it anew. Read after every step."""

    @property
    def patience(self) -> Patience | None:
        """How long the client may stay until it accomplishes something; None: as long as it is not idle. Read after
        every step."""

    @property
    def accomplished(self) -> int:
        """How often the client has done what it came for (a message put, a log-in). Read after every answer; a change
        begins the patience anew."""


SendBytes: TypeAlias = Callable[[bytes], Awaitable[None]]
Notify: TypeAlias = Callable[[object], None]


class Handler(Protocol):
    """The side with I/O, one per connection."""

    def answer(self, request: object, send: SendBytes) -> Coroutine[Any, Any, object]:
        """Carry out one request. Whatever is raised is told to the session. May stream to the client with `send`,
        which waits while the client is slow and raises ConnectionResetError when it is gone. Not cancelled by a
        disconnect: what was begun is finished. Cancelled when the client takes no byte for `timeout_seconds`, and
        after a stop's grace.
        """

    def closed(self) -> None:
        """The connection is gone and no answer is running any more. Called exactly once."""


class Visitor(Protocol):
    """A connection, as a handler sees it."""

    def notify(self, event: object) -> None:
        """Have the session told of an event, soon. Called in the loop's thread."""

    def send(self, data: bytes) -> None:
        """Write something that no session has said."""

    @property
    def cipher(self) -> tuple[Any, ...] | None:
        """Name, protocol and secret bits of the TLS session; None without one."""


class TurnedAway(Exception):
    """The client may not stay. `text` is said to it where TLS does not come first; the exception's text is the reason
    for the log."""

    def __init__(self, why: str, text: bytes = b"") -> None:
        super().__init__(why)
        self.text = text


class Reception(Protocol):
    """What a role has behind its door: who may come in, and who attends to them."""

    @property
    def name(self) -> str:
        """The role's, for the log."""

    @property
    def refusals(self) -> Mapping[Admitted, bytes]:
        """What is said to a client for whom there is no place."""

    def budget(self, peer: Peer) -> Budget:
        """How many may be connected to the client's door. Raises TurnedAway."""

    def enter(self, peer: Peer, visitor: Visitor) -> tuple[Session, Handler]:
        """Called for a client that has a place. Raises TurnedAway."""

    def left(self, peer: Peer, session: Session | None) -> None:
        """The place is free again; `session` is None where the client did not get one."""
