"""What a protocol's session and the server loop say to each other. Pure: no socket, no clock, no `await`.

A session takes bytes and gives effects; `qmail.door.server` carries them out. One outstanding `Ask` at most: after
it the session emits nothing until `answered` or `failed`; the server holds back what the client sends then.
After `StartTls` the session must forget every plain-text byte it has buffered (RFC 2595 section 2.4, RFC 3207
section 4.2: commands slipped in before the handshake must not be obeyed after it).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a connection. `tls` is true from the first byte on an implicit-TLS port only."""

    ip: str
    port: int
    local_ip: str
    local_port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Begin the TLS handshake after what was sent so far; `tls_started` follows, or the connection ends."""


@dataclass(frozen=True, slots=True)
class Close:
    """Flush and close. Nothing after it is carried out."""


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
        ...

    def received(self, data: bytes) -> Sequence[Effect]:
        """More bytes, cut anywhere. The session buffers what is not yet a whole command, within a bound."""
        ...

    def answered(self, answer: object) -> Sequence[Effect]:
        """The outstanding Ask's result. The session then goes on with what it has buffered."""
        ...

    def failed(self, error: BaseException) -> Sequence[Effect]:
        """The outstanding Ask raised. As `answered` otherwise."""
        ...

    def notified(self, event: object) -> Sequence[Effect]:
        """An event the session did not ask for: from the handler (new mail while IDLE), or `Stopping`.
        Never called while an Ask is outstanding: the server keeps the event until the answer is in.
        """
        ...

    def tls_started(self) -> Sequence[Effect]:
        """The handshake after `StartTls` succeeded."""
        ...

    def timed_out(self) -> Sequence[Effect]:
        """Nothing was heard for `timeout_seconds`. The connection is closed after these effects anyway."""
        ...

    def eof(self) -> Sequence[Effect]:
        """The client will send no more; closed after these effects (and their Ask, if any).
        Not called when the connection breaks: then only `Handler.closed` is.
        """
        ...

    @property
    def timeout_seconds(self) -> float:
        """Idle time allowed now; read after every step."""
        ...


SendBytes: TypeAlias = Callable[[bytes], Awaitable[None]]
Notify: TypeAlias = Callable[[object], None]


class Handler(Protocol):
    """The side with I/O, one per connection."""

    def answer(self, request: object, send: SendBytes) -> Coroutine[Any, Any, object]:
        """Carry out one request. May stream to the client with `send`, which waits while the client is slow
        and raises ConnectionResetError when it is gone. Not cancelled by a disconnect: what was begun is
        finished. Cancelled when the client takes no byte for `timeout_seconds`, and after a stop's grace.
        """
        ...

    def closed(self) -> None:
        """The connection is gone and no answer is running any more. Called exactly once."""
        ...
