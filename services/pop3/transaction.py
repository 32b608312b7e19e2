"""The POP3 dialogue: two states, one table of verbs. Pure.

Two manners of speaking: `classic` is qmail-popup and qmail-pop3d 1.03 to the letter (control/extensions `none`);
otherwise the extensions of RFC 2449, 2595 and 5034 are offered, and RFC 1939 is followed where qmail did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from qmail.control.kinds import Network
from qmail.door.cleartext import plaintext_allowed
from qmail.door.limits import BEFORE_LOGIN, Patience
from qmail.door.sasl import MECHANISMS, Challenge, Credentials, Exchange, Fault, Step
from qmail.door.session import Ask, Close, Effect, Peer, Send, StartTls, Stopping
from services.pop3 import replies
from services.pop3.grammar import (
    Command,
    Lines,
    LineTooLong,
    parse_command,
    second_number,
    unique_id,
)
from services.pop3.maildrop import Maildrop, Refused
from services.pop3.requests import LoggedIn, Login, Message, Refusal, Retrieve, Write

LOGIN_SECONDS: Final = 120.0
#: qmail-pop3d's; RFC 1939 section 3 asks for ten minutes at least.
IDLE_SECONDS: Final = 1200.0
MAX_FAILURES: Final = 3


class State(Enum):
    """RFC 1939 section 3; UPDATE is what happens at QUIT and takes no command."""

    AUTHORIZATION = "authorization"
    TRANSACTION = "transaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to speak on one connection."""

    timestamp: bytes
    classic: bool
    tls_available: bool
    #: The setting ADDRESS: where the ports are published.
    address: str
    gateways: frozenset[str] = frozenset()
    #: control/cleartextnets
    networks: tuple[Network, ...] = ()


class Transaction:
    """One connection's dialogue (a `qmail.door.session.Session`)."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.state = State.AUTHORIZATION
        self._lines = Lines()
        self._waiting: Callable[[object], Sequence[Effect]] | None = None
        self._over = False
        self._securing = False
        self._sasl: Exchange | None = None
        self._tls = False
        self._peer_ip = ""
        self._user: bytes | None = None
        self._failures = 0
        self._maildrop = Maildrop((), classic=manner.classic)

    # --- the session's side ---

    @property
    def timeout_seconds(self) -> float:
        return LOGIN_SECONDS if self.state is State.AUTHORIZATION else IDLE_SECONDS

    @property
    def patience(self) -> Patience | None:
        return BEFORE_LOGIN if self.state is State.AUTHORIZATION else None

    @property
    def accomplished(self) -> int:
        return 0 if self.state is State.AUTHORIZATION else 1

    def connected(self, peer: Peer) -> Sequence[Effect]:
        self._tls = peer.tls
        self._peer_ip = peer.ip
        # APOP is offered by the timestamp alone: who sees one tries it.
        return [Send(replies.greeting(self.manner.timestamp) if self.manner.classic else replies.READY)]

    def received(self, data: bytes) -> Sequence[Effect]:
        self._lines.feed(data)
        return self._turn([])

    def answered(self, answer: object) -> Sequence[Effect]:
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        return self._turn(list(waiting(answer)))

    def failed(self, _error: BaseException) -> Sequence[Effect]:
        """A login may be tried again; half a message cannot be taken back, so the connection ends without its dot."""
        self._waiting = None
        if self.state is State.AUTHORIZATION:
            return self._turn(list(self._refused(Refusal.TEMPORARY)))
        return self._end()

    def notified(self, event: object) -> Sequence[Effect]:
        """Who has logged in may end the session; DELE would be lost otherwise."""
        idle = self.state is State.AUTHORIZATION and not self._lines
        return [Close()] if isinstance(event, Stopping) and idle else ()

    def tls_started(self) -> Sequence[Effect]:
        """RFC 2595 section 4: what was known before is forgotten."""
        self._tls = True
        self._securing = False
        self._user = None
        return ()

    def timed_out(self) -> Sequence[Effect]:
        """RFC 1939 section 3: no UPDATE, no word."""
        return ()

    def eof(self) -> Sequence[Effect]:
        return ()

    # --- turns ---

    def _turn(self, effects: list[Effect]) -> list[Effect]:
        while not (self._waiting or self._over or self._securing):
            line = self._lines.next()
            if line is None:
                break
            effects += self._obey(line)
        return effects

    def _obey(self, line: bytes | LineTooLong) -> Sequence[Effect]:
        if isinstance(line, LineTooLong):
            self._sasl = None
            return [Send(replies.LINE_TOO_LONG)]
        if self._sasl is not None:
            return self._follow_sasl(self._sasl.answer(line))
        return self.step(parse_command(line, classic=self.manner.classic))

    def step(self, command: Command) -> Sequence[Effect]:
        """One command in the present state."""
        tables = CLASSIC if self.manner.classic else EXTENDED
        verbs = tables[self.state]
        verb = verbs.get(command.verb)
        if verb is not None:
            try:
                return verb(self, command.argument)
            except Refused as refused:
                return [Send(refused.reply)]
        first = self.state is State.AUTHORIZATION and (self.manner.classic or command.verb in tables[State.TRANSACTION])
        return [Send(replies.AUTHORIZATION_FIRST if first else replies.UNIMPLEMENTED)]

    def _ask(self, request: object, then: Callable[[object], Sequence[Effect]]) -> Sequence[Effect]:
        self._waiting = then
        return [Ask(request)]

    def _end(self, *said: bytes, asked: bool = False) -> Sequence[Effect]:
        self._over = True
        return [*(Send(text) for text in said), Close(asked)]

    # --- AUTHORIZATION ---

    @property
    def _plaintext(self) -> bool:
        manner = self.manner
        return plaintext_allowed(
            tls=self._tls,
            peer_ip=self._peer_ip,
            address=manner.address,
            gateways=manner.gateways,
            networks=manner.networks,
        )

    @property
    def _stls_offered(self) -> bool:
        return self.manner.tls_available and not self._tls

    def _needs_tls(self) -> Sequence[Effect]:
        stls = self._stls_offered and not self.manner.classic
        return [Send(replies.NEEDS_TLS if stls else replies.NEEDS_TLS_PORT)]

    def user(self, argument: bytes) -> Sequence[Effect]:
        if not argument:
            return [Send(replies.SYNTAX)]
        if not self._plaintext:
            return self._needs_tls()
        self._user = argument
        return [Send(replies.OK)]

    def password(self, argument: bytes) -> Sequence[Effect]:
        if self._user is None:
            return [Send(replies.USER_FIRST)]
        if not argument:
            return [Send(replies.SYNTAX)]
        return self._login(self._user, argument)

    def apop(self, argument: bytes) -> Sequence[Effect]:
        user, _, digest = argument.partition(b" ")
        if not user or not digest:
            return [Send(replies.SYNTAX)]
        return self._login(user, digest, self.manner.timestamp)

    def _login(self, user: bytes, password: bytes, timestamp: bytes = b"") -> Sequence[Effect]:
        self._user = None
        if self.manner.classic:
            # qmail-popup has read ahead what came with the password, and it is lost with that program.
            self._lines.clear()
        request = Login(user=user, password=password, timestamp=timestamp, tls=self._tls)
        return self._ask(request, self._login_answered)

    def _login_answered(self, answer: object) -> Sequence[Effect]:
        if isinstance(answer, Refusal):
            return self._refused(answer)
        assert isinstance(answer, LoggedIn)
        self._maildrop = Maildrop(answer.messages, classic=self.manner.classic)
        self.state = State.TRANSACTION
        return [Send(replies.OK)]

    def _refused(self, refusal: Refusal) -> Sequence[Effect]:
        self._failures += 1
        text = (CLASSIC_REFUSALS if self.manner.classic else REFUSALS)[refusal]
        again = refusal is Refusal.WRONG and not self.manner.classic and self._failures < MAX_FAILURES
        return [Send(text)] if again else self._end(text)

    def capa(self, _argument: bytes) -> Sequence[Effect]:
        before = self.state is State.AUTHORIZATION
        stls = self._stls_offered and before
        return [Send(replies.capabilities(plaintext=self._plaintext, stls=stls))]

    def stls(self, argument: bytes) -> Sequence[Effect]:
        if argument:
            return [Send(replies.SYNTAX)]
        if not self._stls_offered:
            return [Send(replies.NO_TLS)]
        self._lines.clear()
        self._securing = True
        return [Send(replies.BEGIN_TLS), StartTls()]

    def auth(self, argument: bytes) -> Sequence[Effect]:
        mechanism, _, initial = argument.partition(b" ")
        if not mechanism:
            return [Send(replies.sasl_mechanisms(plaintext=self._plaintext))]
        if mechanism.upper() not in MECHANISMS:
            return [Send(replies.SASL_UNKNOWN)]
        if not self._plaintext:
            return self._needs_tls()
        self._sasl = Exchange(mechanism.upper())
        return self._follow_sasl(self._sasl.begin(initial or None))

    def _follow_sasl(self, step: Step) -> Sequence[Effect]:
        if isinstance(step, Challenge):
            return [Send(replies.sasl_challenge(step.text))]
        self._sasl = None
        if isinstance(step, Credentials):
            return self._login(step.user, step.password)
        return [Send(replies.SASL_CANCELLED if step is Fault.CANCELLED else replies.SYNTAX)]

    def quit_early(self, _argument: bytes) -> Sequence[Effect]:
        return self._end(replies.OK, asked=True)

    # --- TRANSACTION ---

    def okay(self, _argument: bytes) -> Sequence[Effect]:
        return [Send(replies.OK)]

    def stat(self, _argument: bytes) -> Sequence[Effect]:
        return [Send(replies.numbers(self._maildrop.count, self._maildrop.size_bytes))]

    def list(self, argument: bytes) -> Sequence[Effect]:
        if argument:
            number, message = self._maildrop.meant(argument)
            return [Send(replies.numbers(number, message.size_bytes))]
        return self._write(b"%d %d" % (n, message.size_bytes) for n, message in self._maildrop.present())

    def uidl(self, argument: bytes) -> Sequence[Effect]:
        if argument:
            number, message = self._maildrop.meant(argument)
            return [Send(replies.unique_id(number, self._uid(message)))]
        return self._write(b"%d %s" % (n, self._uid(message)) for n, message in self._maildrop.present())

    def retr(self, argument: bytes) -> Sequence[Effect]:
        # qmail-pop3d has one procedure for RETR and TOP, so RETR takes a second number too.
        return self._retrieve(argument, second_number(argument) if self.manner.classic else None)

    def top(self, argument: bytes) -> Sequence[Effect]:
        return self._retrieve(argument, second_number(argument))

    def dele(self, argument: bytes) -> Sequence[Effect]:
        self._maildrop.delete(*self._maildrop.meant(argument))
        return [Send(replies.OK)]

    def last(self, _argument: bytes) -> Sequence[Effect]:
        return [Send(replies.last(self._maildrop.last))]

    def rset(self, _argument: bytes) -> Sequence[Effect]:
        self._maildrop.reset()
        return [Send(replies.OK)]

    def quit(self, _argument: bytes) -> Sequence[Effect]:
        return self._ask(self._maildrop.update(), self._updated)

    def _updated(self, answer: object) -> Sequence[Effect]:
        return self._end(replies.OK if answer else replies.NO_UNLINK, asked=True)

    def _retrieve(self, argument: bytes, body_lines: int | None) -> Sequence[Effect]:
        _, message = self._maildrop.meant(argument)
        request = Retrieve(message=message, body_lines=body_lines, as_stored=self.manner.classic)
        return self._ask(request, self._retrieved)

    def _retrieved(self, answer: object) -> Sequence[Effect]:
        if not answer:
            return [Send(replies.NO_OPEN)]
        message = answer if isinstance(answer, bytes) else b""
        # qmail-pop3d puts an empty line before the dot.
        return [Send(message + (b"\r\n" if self.manner.classic else b"") + replies.END)]

    def _write(self, lines: Iterator[bytes]) -> Sequence[Effect]:
        return self._ask(Write(replies.listing(lines)), lambda _answer: ())

    def _uid(self, message: Message) -> bytes:
        return message.base if self.manner.classic else unique_id(message.base)


Verb: TypeAlias = Callable[[Transaction, bytes], Sequence[Effect]]

_BOTH = (True, False)
_ONLY_CLASSIC, _ONLY_EXTENDED = (True,), (False,)

#: Verb, where it is allowed, in which manners of speaking (whether classic), and what it does. qmail-popup.c and
#: qmail-pop3d.c have the classic ones; APOP is among them alone: auth keeps hashes, from which nobody can answer it.
_ROWS: Final[tuple[tuple[bytes, State, tuple[bool, ...], Verb], ...]] = (
    (b"user", State.AUTHORIZATION, _BOTH, Transaction.user),
    (b"pass", State.AUTHORIZATION, _BOTH, Transaction.password),
    (b"apop", State.AUTHORIZATION, _ONLY_CLASSIC, Transaction.apop),
    (b"auth", State.AUTHORIZATION, _ONLY_EXTENDED, Transaction.auth),
    (b"stls", State.AUTHORIZATION, _ONLY_EXTENDED, Transaction.stls),
    (b"capa", State.AUTHORIZATION, _ONLY_EXTENDED, Transaction.capa),
    (b"noop", State.AUTHORIZATION, _BOTH, Transaction.okay),
    (b"quit", State.AUTHORIZATION, _BOTH, Transaction.quit_early),
    (b"stat", State.TRANSACTION, _BOTH, Transaction.stat),
    (b"list", State.TRANSACTION, _BOTH, Transaction.list),
    (b"uidl", State.TRANSACTION, _BOTH, Transaction.uidl),
    (b"retr", State.TRANSACTION, _BOTH, Transaction.retr),
    (b"top", State.TRANSACTION, _BOTH, Transaction.top),
    (b"dele", State.TRANSACTION, _BOTH, Transaction.dele),
    (b"last", State.TRANSACTION, _BOTH, Transaction.last),
    (b"rset", State.TRANSACTION, _BOTH, Transaction.rset),
    (b"capa", State.TRANSACTION, _ONLY_EXTENDED, Transaction.capa),
    (b"noop", State.TRANSACTION, _BOTH, Transaction.okay),
    (b"quit", State.TRANSACTION, _BOTH, Transaction.quit),
)


def _table(*, classic: bool) -> dict[State, dict[bytes, Verb]]:
    return {
        state: {verb: do for verb, where, manners, do in _ROWS if where is state and classic in manners}
        for state in State
    }


CLASSIC: Final = _table(classic=True)
EXTENDED: Final = _table(classic=False)

CLASSIC_REFUSALS: Final = {
    Refusal.WRONG: replies.AUTHORIZATION_FAILED,
    # qmail-popup tells no reason: whatever the password program says but yes is this.
    Refusal.TEMPORARY: replies.AUTHORIZATION_FAILED,
    # Not what would make a mail program ask for another password.
    Refusal.CROWDED: replies.NO_SCAN,
    Refusal.NO_MAILDIR: replies.NO_MAILDIR,
    Refusal.NO_SCAN: replies.NO_SCAN,
    Refusal.FOREIGN_MAILDIR: replies.FOREIGN_MAILDIR,
}
REFUSALS: Final = {
    **CLASSIC_REFUSALS,
    Refusal.WRONG: replies.WRONG_PASSWORD,
    Refusal.TEMPORARY: replies.TRY_LATER,
    Refusal.CROWDED: replies.TOO_MANY_SESSIONS,
    # A mail program takes a refusal without a code for a wrong password (RFC 3206).
    Refusal.NO_MAILDIR: replies.MAILDIR_LATER,
    Refusal.NO_SCAN: replies.SCAN_LATER,
    Refusal.FOREIGN_MAILDIR: replies.FOREIGN_MAILDIR_NOW,
}
