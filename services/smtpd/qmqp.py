"""qmail-qmqpd(8): one message a connection, from clients that control/qmqpclients lists. Pure.

The client sends one netstring with message, sender and recipients in netstrings, and hears one with K, Z or D and a
text. Nothing is kept of a message whose size or recipients pass the bounds. Source: http://cr.yp.to/proto/qmqp.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qmail.bus.ports import QueueFull
from qmail.door.limits import Patience
from qmail.door.session import Ask, Close, Effect, Peer, Send
from qmail.log.notices import Refused
from qmail.message.address import MAX_ADDRESS_BYTES, Address
from qmail.message.dates import date822
from qmail.message.envelope import MAX_RECIPIENTS_BYTES, Draft, Origin, Recipient, recipient_bytes
from qmail.message.qmqp import ACCEPTED, DEFERRED, REFUSED, QmqpError, netstring
from qmail.queue.put import EnvelopeTooLarge
from services.smtpd.data import MAX_HOPS
from services.smtpd.facts import Client, Commit, Store
from services.smtpd.mail_transaction import GATHER_BYTES, PART_BYTES
from services.smtpd.policy import Policy
from services.smtpd.received import render_received_head
from services.smtpd.refusals import Tell
from services.smtpd.session import PATIENCE

# Of each of the two lengths with which it begins.
MAX_DIGITS = 12
MAX_ENVELOPE_BYTES = MAX_RECIPIENTS_BYTES
_LENGTH = re.compile(rb"(\d{1,%d}):" % MAX_DIGITS)
_HOPS = re.compile(rb"^(?:received|delivered)", re.IGNORECASE | re.MULTILINE)

NOT_QMQP = REFUSED + b"sorry, that is no QMQP (#5.5.2)"
TOO_BIG = REFUSED + b"sorry, that message size exceeds my databytes limit (#5.3.4)"
TOO_MANY = REFUSED + b"sorry, that envelope is too large for me, use fewer recipients (#5.5.3)"
LOOPING = REFUSED + b"too many hops, this message is looping (#5.4.6)"
BAD_ADDRESS = REFUSED + b"sorry, that is no address of a mailbox (#5.1.3)"
QUEUE_FULL = DEFERRED + b"sorry, the queue is full, try again later (#4.3.1)"
NOT_NOW = DEFERRED + b"sorry, local error, try again later (#4.3.0)"


class _NotTaken(Exception):
    """The message is not taken; the answer says why."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer)
        self.answer = answer


@dataclass(slots=True)
class _Sizes:
    """What is still to come, in bytes."""

    message: int
    envelope: int


class QmqpSession:
    """One client's session (qmail.door.session.Session)."""

    accomplished = 0

    def __init__(self, policy: Policy, client: Client, origin: Origin, now: Callable[[], float], tell: Tell) -> None:
        """`tell` hears of each message that is not taken."""
        self._tell = tell
        self._policy, self._client, self._origin, self._now = policy, client, origin, now
        self._unread = b""
        self._sizes: _Sizes | None = None
        self._parts: list[bytes] = []
        self._gathered = 0
        self._first = True
        self._asking = self._done = False

    @property
    def timeout_seconds(self) -> float:
        return self._policy.timeout_seconds

    @property
    def patience(self) -> Patience:
        return PATIENCE

    def connected(self, _peer: Peer) -> Sequence[Effect]:
        """The client speaks first."""
        return ()

    def received(self, data: bytes) -> Sequence[Effect]:
        """Any cut of the client's bytes."""
        self._unread += data
        return self._go_on()

    def answered(self, answer: object) -> Sequence[Effect]:
        self._asking = False
        if isinstance(answer, int) and not isinstance(answer, bool):
            self.accomplished += 1
            return self._say(ACCEPTED + b"ok %d qp %d" % (int(self._now()), answer))
        return self._go_on()

    def failed(self, error: BaseException) -> Sequence[Effect]:
        self._asking = False
        if isinstance(error, EnvelopeTooLarge):
            return self._say(TOO_MANY)
        return self._say(QUEUE_FULL if isinstance(error, QueueFull) else NOT_NOW)

    def notified(self, _event: object) -> Sequence[Effect]:
        """The server ends: whoever has begun a message is let finish it."""
        return () if self._sizes or self._unread or self._asking else self._say(NOT_NOW)

    def tls_started(self) -> Sequence[Effect]:
        return ()

    def timed_out(self) -> Sequence[Effect]:
        return ()

    def eof(self) -> Sequence[Effect]:
        """What is not whole is dropped."""
        return ()

    # --- reading ---

    def _go_on(self) -> Sequence[Effect]:
        if self._asking or self._done:
            return ()
        try:
            return self._read()
        except _NotTaken as refused:
            return self._say(refused.answer)

    def _read(self) -> Sequence[Effect]:
        sizes = self._sizes or self._read_sizes()
        if sizes is None:
            return ()
        self._take(sizes)
        if sizes.message and self._gathered > (GATHER_BYTES if self._first else PART_BYTES):
            return self._ask(Store(self._take_parts()))
        if sizes.message or len(self._unread) < sizes.envelope:
            return ()
        return self._ask(Commit(self._draft(self._unread[: sizes.envelope]), self._take_parts()))

    def _read_sizes(self) -> _Sizes | None:
        """The two lengths; None until both are there. Raises _NotTaken."""
        outer = _LENGTH.match(self._unread)
        inner = _LENGTH.match(self._unread, outer.end()) if outer else None
        if outer is None or inner is None:
            if re.fullmatch(rb"\d{0,%d}(:\d{0,%d})?" % (MAX_DIGITS, MAX_DIGITS), self._unread) is None:
                raise _NotTaken(NOT_QMQP)
            return None
        message = int(inner[1])
        envelope = int(outer[1]) - message - len(inner[0])
        if self._policy.databytes and message > self._policy.databytes:
            raise _NotTaken(TOO_BIG)
        if envelope < 1:
            raise _NotTaken(NOT_QMQP)
        if envelope > MAX_ENVELOPE_BYTES:
            raise _NotTaken(TOO_MANY)
        self._unread = self._unread[inner.end() :]
        # The comma of the outer netstring is read with the envelope.
        self._sizes = _Sizes(message, envelope + 1)
        return self._sizes

    def _take(self, sizes: _Sizes) -> None:
        if sizes.message and self._unread:
            part, self._unread = self._unread[: sizes.message], self._unread[sizes.message :]
            sizes.message -= len(part)
            self._parts.append(part)
            self._gathered += len(part)

    def _take_parts(self) -> bytes:
        """What was gathered. Raises _NotTaken where the header, which is in the first part, shows a loop."""
        text = b"".join(self._parts)
        self._parts, self._gathered = [], 0
        if self._first:
            self._first = False
            header = text.partition(b"\n\n")[0]
            if sum(1 for _ in _HOPS.finditer(header)) >= MAX_HOPS:
                raise _NotTaken(LOOPING)
        return text

    def _draft(self, envelope: bytes) -> Draft:
        try:
            sender, *recipients = map(Address, _read_envelope(envelope))
        except (QmqpError, ValueError) as error:
            raise _NotTaken(NOT_QMQP) from error
        bad = (each.has_controls() or len(each.raw) > MAX_ADDRESS_BYTES for each in (sender, *recipients))
        if any(bad) or not all(recipients):
            raise _NotTaken(BAD_ADDRESS)
        if sum(map(recipient_bytes, recipients)) > MAX_RECIPIENTS_BYTES:
            raise _NotTaken(TOO_MANY)
        if not recipients:
            raise _NotTaken(NOT_QMQP)
        head = render_received_head(self._client, None, b"QMQP")
        return Draft(
            origin=self._origin,
            sender=sender,
            recipients=tuple(map(Recipient, recipients)),
            prefix=head + date822(self._now()) + b"\n",
        )

    # --- answering ---

    def _ask(self, request: Store | Commit) -> Sequence[Effect]:
        self._asking = True
        return (Ask(request),)

    def _say(self, answer: bytes) -> Sequence[Effect]:
        self._done = True
        if answer[:1] != ACCEPTED:
            self._tell(Refused.MESSAGE, b"QMQP", answer[1:])
        return (Send(netstring(answer)), Close())


def _read_envelope(text: bytes) -> Iterator[bytes]:
    """Sender and recipients, between the commas that end the message's netstring and the whole. Raises QmqpError."""
    if text[:1] != b"," or text[-1:] != b",":
        raise QmqpError("a netstring ends with a comma")
    at, end = 1, len(text) - 1
    while at < end:
        length = _LENGTH.match(text, at, end)
        stop = length.end() + int(length[1]) if length else end
        if length is None or text[stop : stop + 1] != b"," or stop >= end:
            raise QmqpError("the envelope is no netstrings")
        yield text[length.end() : stop]
        at = stop + 1
