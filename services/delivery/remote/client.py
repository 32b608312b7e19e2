"""The SMTP client's side of one message on a connection: bytes in, effects out, a report at the end. No I/O.

Source: qmail-remote(8) for order, texts and letters; RFC 5321, 1870 (SIZE), 2920 (PIPELINING),
3207 (STARTTLS), 6152 (8BITMIME), 6531 (SMTPUTF8) for what it says after EHLO.

A connection may carry one message after the other. What ends one that was used before, before the final dot, says
nothing about the message: such a client is `stale`, and the message goes by a new connection. After the final dot
nothing is sent a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from qmail.message.envelope import NO_PARAMETERS, MailParameters
from services.delivery.remote import replies
from services.delivery.remote.login import Exchange, Login, choose_mechanism
from services.delivery.remote.reply import Reply, ReplyReader, ReplyTooLongError

QUIT = b"QUIT\r\n"

_SUCCESS_BELOW = 400
_FAILURE_FROM = 500
_CLOSING = 421


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes to the far host."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Begin TLS, then call `tls_started`."""


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send the message and its final dot: `message_ends` before the dot, `message_sent` after it."""


@dataclass(frozen=True, slots=True)
class Close:
    """The report is complete; send what is left and close."""


Offers = Mapping[bytes, bytes]
Effect = Send | StartTls | SendMessage | Close


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How this host is spoken to: our name, EHLO or HELO alone, TLS where it is offered.

    `keep`: where all went well, the connection is left open for another message. `secure`: not without TLS; `verify`:
    by a certificate that is the host's. `login`: who logs in first, in no other way than within TLS."""

    helo: bytes
    extended: bool
    tls: bool
    keep: bool = False
    secure: bool = False
    verify: bool = False
    login: Login | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What is sent: quoted addresses, the least size of the message in bytes, what it needs."""

    sender: bytes
    recipients: tuple[bytes, ...]
    size_bytes: int
    parameters: MailParameters = NO_PARAMETERS
    eight_bit_header: bool = False

    def needs_smtputf8(self) -> bool:
        """Whether an address or the header of mail that came with SMTPUTF8 cannot go without it (RFC 6531 3.2)."""
        if not self.parameters.smtputf8:
            return False
        return self.eight_bit_header or not all(map(bytes.isascii, (self.sender, *self.recipients)))


class State(Enum):
    """What the next reply answers; SILENT: no reply is expected now."""

    GREETING = auto()
    EHLO = auto()
    HELO = auto()
    STARTTLS = auto()
    AUTH = auto()
    RSET = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    END = auto()
    SILENT = auto()
    DONE = auto()


class Client:
    """One message on a connection to the far host `address`; `offers`: of one that has carried a message before.

    `report` holds qmail-remote's texts; it is complete when `done` is true, unless `stale` is."""

    def __init__(self, address: bytes, manner: Manner, transaction: Transaction, offers: Offers | None = None) -> None:
        self.report: list[bytes] = []
        self._address = address
        self._manner = manner
        self._transaction = transaction
        self._reader = ReplyReader()
        self._state = State.GREETING
        self._secured = False
        self._exchange: Exchange | None = None
        self._critical = False
        self._used = offers is not None
        self._offers: Offers = offers or {}
        self._unsaid: list[bytes] = []  # commands
        self._owed = 0  # replies to those that were said, once the far host serves us
        self._last_code = 0
        self._answered = 0
        self._accepted = 0
        self._serves = False
        self._stale = False
        self._reusable = False

    @property
    def done(self) -> bool:
        """Whether the report is complete."""
        return self._state is State.DONE

    @property
    def greeted(self) -> bool:
        """Whether the far host has said anything: before that, a reset is a refused connection."""
        return self._state is not State.GREETING or self._reader.started

    @property
    def serves(self) -> bool:
        """Whether the far host greeted us and took our name: what it says from then on is about the message."""
        return self._serves

    @property
    def stale(self) -> bool:
        """Whether the connection, used before, was no good any more: nothing is known of the message."""
        return self._stale

    @property
    def reusable(self) -> bool:
        """Whether another message may follow on this connection: QUIT has not been said."""
        return self._reusable

    @property
    def offers(self) -> Offers:
        """What the far host's EHLO has announced."""
        return self._offers

    def begin(self, *, secured: bool = False) -> list[Effect]:
        """The connection is there. A new one greets first; `secured`: TLS is on already."""
        self._secured = secured
        return list(self._begin_mail()) if self._used else []

    def received(self, data: bytes) -> list[Effect]:
        """The far host sent `data`; also called with b"" to go on with replies that came early."""
        self._reader.feed(data)
        effects: list[Effect] = []
        try:
            while self._state not in (State.SILENT, State.DONE):
                reply = self._reader.next()
                if reply is None:
                    break
                self._owed -= 1
                self._last_code = reply.code
                effects += self._give_up() if self._is_parting(reply) else _STEPS[self._state](self, reply)
        except ReplyTooLongError:
            return [*effects, *self._end(replies.endless_reply(self._address, critical=self._critical))]
        return effects

    def lost(self) -> None:
        """The connection ended, or nothing moved for timeoutremote."""
        if self.done:
            return
        if self._used and not self._critical:
            self._give_up()
        else:
            self._end(replies.dropped(self._address, critical=self._critical))

    def tls_started(self) -> list[Effect]:
        """TLS is on: the conversation begins again (RFC 3207 4.2)."""
        self._reader.discard()
        self._secured = True
        return self._say_ehlo()

    def message_ends(self) -> None:
        """The final dot goes out: from now on the far host may have the message."""
        self._critical = True

    def message_sent(self) -> list[Effect]:
        """The final dot has gone out."""
        self._state = State.END
        self._owed += 1
        return self.received(b"")

    def message_failed(self, text: bytes) -> None:
        """The message cannot be sent to its end; the far host must see a broken connection."""
        self._end(text)

    def _greeting(self, reply: Reply) -> Sequence[Effect]:
        if reply.code != 220:
            return self._quit(b"ZConnected to ", b" but greeting failed", reply)
        return self._say_ehlo() if self._manner.extended else self._say_helo()

    def _say_ehlo(self) -> list[Effect]:
        self._state = State.EHLO
        return [Send(b"EHLO " + self._manner.helo + b"\r\n")]

    def _say_helo(self) -> list[Effect]:
        self._state = State.HELO
        return [Send(b"HELO " + self._manner.helo + b"\r\n")]

    def _ehlo(self, reply: Reply) -> Sequence[Effect]:
        if reply.code != 250:
            return self._say_helo()
        self._offers = parse_offers(reply.text)
        if b"STARTTLS" in self._offers and self._manner.tls and not self._secured:
            self._state = State.STARTTLS
            return [Send(b"STARTTLS\r\n")]
        return self._known()

    def _helo(self, reply: Reply) -> Sequence[Effect]:
        if reply.code != 250:
            return self._quit(b"ZConnected to ", b" but my name was rejected", reply)
        self._offers = {}
        return self._known()

    def _starttls(self, reply: Reply) -> Sequence[Effect]:
        if reply.code != 220:
            return self._known()
        self._state = State.SILENT
        return [StartTls()]

    def _known(self) -> Sequence[Effect]:
        """The far host has taken our name. Who logs in says no password in the clear."""
        login = self._manner.login
        if (self._manner.secure or login) and not self._secured:
            return self._finish(replies.no_tls(self._address))
        if login is None:
            return self._begin_mail()
        mechanism = choose_mechanism(self._offers.get(b"AUTH", b""))
        if mechanism is None:
            return self._finish(replies.no_mechanism(self._address))
        self._state, self._exchange = State.AUTH, Exchange(mechanism, login)
        return [Send(self._exchange.command() + b"\r\n")]

    def _auth(self, reply: Reply) -> Sequence[Effect]:
        if reply.code == 235:
            return self._begin_mail()
        if reply.code == 334 and self._exchange is not None:
            answer = self._exchange.answer(reply.text[4:].strip())
            # Whoever asks for more than there is to say is told so (RFC 4954 4).
            return [Send((b"*" if answer is None else answer) + b"\r\n")]
        return self._quit(b"ZConnected to ", b" but log-in was refused", reply)

    def _begin_mail(self) -> Sequence[Effect]:
        self._serves = True
        limit = _size_limit(self._offers)
        if limit and self._transaction.size_bytes > limit:
            return self._finish(replies.too_large(self._address, limit))
        if self._transaction.needs_smtputf8() and b"SMTPUTF8" not in self._offers:
            return self._finish(replies.needs_smtputf8(self._address))
        self._unsaid = [b"MAIL FROM:<" + self._transaction.sender + b">" + self._parameters() + b"\r\n"]
        self._unsaid += [b"RCPT TO:<" + recipient + b">\r\n" for recipient in self._transaction.recipients]
        self._unsaid.append(b"DATA\r\n")
        self._state, self._owed = State.MAIL, 0
        if self._used:
            # It ends whatever the last message has left behind, and shows whether anybody is there.
            self._unsaid.insert(0, b"RSET\r\n")
            self._state = State.RSET
        return self._say(len(self._unsaid) if b"PIPELINING" in self._offers else 1)

    def _say(self, count: int) -> list[Effect]:
        """The next commands, in one piece; the far host owes as many replies."""
        said, self._unsaid = self._unsaid[:count], self._unsaid[count:]
        self._owed += count
        return [Send(b"".join(said))]

    def _go_on(self, state: State) -> list[Effect]:
        self._state = state
        return [] if self._owed else self._say(1)

    def _is_parting(self, reply: Reply) -> bool:
        """Whether a connection that was used before has had enough: by 421, as RFC 5321 4.2.1 has it for any command,
        or by another 4xx before the first recipient, as some limit what one connection may bring."""
        begins = self._state in (State.RSET, State.MAIL) and _SUCCESS_BELOW <= reply.code < _FAILURE_FROM
        return self._used and not self._critical and (begins or reply.code == _CLOSING)

    def _give_up(self) -> list[Effect]:
        self._stale = True
        self._state = State.DONE
        return [Close()]

    def _rset(self, reply: Reply) -> Sequence[Effect]:
        return self._give_up() if reply.code >= _FAILURE_FROM else self._go_on(State.MAIL)

    def _parameters(self) -> bytes:
        transaction, offers = self._transaction, self._offers
        size = b" SIZE=%d" % transaction.size_bytes if b"SIZE" in offers else b""
        body = b" BODY=8BITMIME" if transaction.parameters.eight_bit and b"8BITMIME" in offers else b""
        utf8 = b" SMTPUTF8" if transaction.parameters.smtputf8 and b"SMTPUTF8" in offers else b""
        return size + body + utf8

    def _mail(self, reply: Reply) -> Sequence[Effect]:
        if reply.code >= _SUCCESS_BELOW:
            letter = b"D" if reply.code >= _FAILURE_FROM else b"Z"
            return self._quit(letter + b"Connected to ", b" but sender was rejected", reply)
        return self._go_on(State.RCPT)

    def _recipient(self, reply: Reply) -> Sequence[Effect]:
        self._answered += 1
        if reply.code >= _SUCCESS_BELOW:
            letter = b"h" if reply.code >= _FAILURE_FROM else b"s"
            self.report.append(replies.recipient_refused(letter, self._address, reply.text))
        else:
            self._accepted += 1
            self.report.append(replies.RECIPIENT_ACCEPTED)
        if self._answered < len(self._transaction.recipients):
            return self._go_on(State.RCPT)
        if not self._accepted and not self._owed:
            return self._refuse_all()
        return self._go_on(State.DATA)

    def _data(self, reply: Reply) -> Sequence[Effect]:
        if not self._accepted:
            return self._data_for_nobody(reply)
        if reply.code >= _SUCCESS_BELOW:
            letter = b"D" if reply.code >= _FAILURE_FROM else b"Z"
            return self._quit(letter, b" failed on DATA command", reply)
        self._state = State.SILENT
        return [SendMessage()]

    def _data_for_nobody(self, reply: Reply) -> Sequence[Effect]:
        if reply.code >= _SUCCESS_BELOW:
            return self._refuse_all()
        # DATA was said before it was known that nobody takes the message: RFC 2920 3.1 wants an empty one then.
        self._state = State.END
        self._owed += 1
        return [Send(b".\r\n")]

    def _refuse_all(self) -> list[Effect]:
        return self._finish(replies.closing(b"DGiving up on ", self._address, b"", b""))

    def _message_end(self, reply: Reply) -> Sequence[Effect]:
        self._critical = False
        if not self._accepted:
            return self._refuse_all()
        if reply.code < _SUCCESS_BELOW:
            return self._quit(b"K", b" accepted message", reply)
        letter = b"D" if reply.code >= _FAILURE_FROM else b"Z"
        return self._quit(letter, b" failed after I sent the message", reply)

    def _quit(self, prepend: bytes, append: bytes, reply: Reply) -> list[Effect]:
        return self._finish(replies.closing(prepend, self._address, append, reply.text))

    def _finish(self, text: bytes) -> list[Effect]:
        parts = bool(self._owed or self._reader.started or self._last_code == _CLOSING)
        self._reusable = self._manner.keep and self._serves and not parts
        # QUIT's reply is not awaited: the message's fate is known.
        return [*([] if self._reusable else [Send(QUIT)]), *self._end(text)]

    def _end(self, text: bytes) -> list[Effect]:
        self.report.append(text)
        self._state = State.DONE
        return [Close()]


_STEPS: dict[State, Callable[[Client, Reply], Sequence[Effect]]] = {
    State.GREETING: Client._greeting,
    State.EHLO: Client._ehlo,
    State.HELO: Client._helo,
    State.STARTTLS: Client._starttls,
    State.AUTH: Client._auth,
    State.RSET: Client._rset,
    State.MAIL: Client._mail,
    State.RCPT: Client._recipient,
    State.DATA: Client._data,
    State.END: Client._message_end,
}


def parse_offers(text: bytes) -> dict[bytes, bytes]:
    """The extensions of an EHLO reply: keyword in capitals -> parameters (RFC 5321 4.1.1.1)."""
    offers = {}
    for line in text.split(b"\n")[1:]:
        keyword, _, parameters = line[4:].strip().partition(b" ")
        if keyword:
            offers[keyword.upper()] = parameters
    return offers


def _size_limit(offers: Offers) -> int:
    # RFC 1870 3: zero or nothing means no fixed limit.
    limit = offers.get(b"SIZE", b"").strip()
    return int(limit) if limit.isdigit() and len(limit) < 20 else 0
