"""The POP3 dialogue: two states, one table of verbs for each, no I/O.

Two manners of speaking: `classic` is qmail-popup and qmail-pop3d 1.03 to the letter (control/extensions `none`);
otherwise the extensions of RFC 2449, 2595 and 5034 are offered, and RFC 1939 is followed where qmail did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

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
    scan_number,
    second_number,
    unique_id,
    whole_number,
)
from services.pop3.requests import LoggedIn, Login, Message, Refusal, Retrieve, Update, Write

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
        self._messages: tuple[Message, ...] = ()
        self._present_bytes = 0
        self._deleted: set[int] = set()
        self._last = 0

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

    def failed(self, error: BaseException) -> Sequence[Effect]:
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
            return verb(self, command.argument)
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
        return plaintext_allowed(tls=self._tls, peer_ip=self._peer_ip, address=manner.address, gateways=manner.gateways)

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
        self._messages = answer.messages
        self._present_bytes = self._total_bytes()
        self.state = State.TRANSACTION
        return [Send(replies.OK)]

    def _refused(self, refusal: Refusal) -> Sequence[Effect]:
        self._failures += 1
        text = (CLASSIC_REFUSALS if self.manner.classic else REFUSALS)[refusal]
        again = refusal is Refusal.WRONG and not self.manner.classic and self._failures < MAX_FAILURES
        return [Send(text)] if again else self._end(text)

    def capa(self, argument: bytes) -> Sequence[Effect]:
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
            return [Send(replies.sasl_mechanisms(self._plaintext))]
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

    def quit_early(self, argument: bytes) -> Sequence[Effect]:
        return self._end(replies.OK, asked=True)

    # --- TRANSACTION ---

    def okay(self, argument: bytes) -> Sequence[Effect]:
        return [Send(replies.OK)]

    def stat(self, argument: bytes) -> Sequence[Effect]:
        """qmail-pop3d counts the deleted in the number, not in the size; RFC 1939 in neither."""
        count = len(self._messages) - (0 if self.manner.classic else len(self._deleted))
        return [Send(replies.numbers(count, self._present_bytes))]

    def list(self, argument: bytes) -> Sequence[Effect]:
        if argument:
            return self._of_one(argument, lambda n, message: [Send(replies.numbers(n, message.size_bytes))])
        return self._write(b"%d %d" % (n, message.size_bytes) for n, message in self._present())

    def uidl(self, argument: bytes) -> Sequence[Effect]:
        if argument:
            return self._of_one(argument, lambda n, message: [Send(replies.unique_id(n, self._uid(message)))])
        return self._write(b"%d %s" % (n, self._uid(message)) for n, message in self._present())

    def retr(self, argument: bytes) -> Sequence[Effect]:
        # qmail-pop3d has one procedure for RETR and TOP, so RETR takes a second number too.
        limit = second_number(argument) if self.manner.classic else None
        return self._of_one(argument, lambda n, message: self._retrieve(message, limit))

    def top(self, argument: bytes) -> Sequence[Effect]:
        return self._of_one(argument, lambda n, message: self._retrieve(message, second_number(argument)))

    def dele(self, argument: bytes) -> Sequence[Effect]:
        return self._of_one(argument, self._delete)

    def last(self, argument: bytes) -> Sequence[Effect]:
        return [Send(replies.last(self._last))]

    def rset(self, argument: bytes) -> Sequence[Effect]:
        if self._deleted:
            self._deleted.clear()
            self._present_bytes = self._total_bytes()
        self._last = 0
        return [Send(replies.OK)]

    def quit(self, argument: bytes) -> Sequence[Effect]:
        numbered = list(enumerate(self._messages, 1))
        deleted = tuple(message for n, message in numbered if n in self._deleted)
        seen = tuple(message for n, message in numbered if message.is_new and n not in self._deleted)
        return self._ask(Update(deleted, seen), self._updated)

    def _updated(self, answer: object) -> Sequence[Effect]:
        return self._end(replies.OK if answer else replies.NO_UNLINK, asked=True)

    def _total_bytes(self) -> int:
        return sum(message.size_bytes for message in self._messages)

    def _present(self) -> Iterator[tuple[int, Message]]:
        deleted = self._deleted
        return ((n, message) for n, message in enumerate(self._messages, 1) if n not in deleted)

    def _of_one(self, argument: bytes, do: Callable[[int, Message], Sequence[Effect]]) -> Sequence[Effect]:
        number = scan_number(argument)[0] if self.manner.classic else whole_number(argument)
        if number is None:
            return [Send(replies.SYNTAX)]
        if number == 0:
            return [Send(replies.FROM_ONE)]
        if number > len(self._messages):
            return [Send(replies.NOT_THAT_MANY)]
        if number in self._deleted:
            return [Send(replies.ALREADY_DELETED)]
        return do(number, self._messages[number - 1])

    def _delete(self, number: int, message: Message) -> Sequence[Effect]:
        self._deleted.add(number)
        self._present_bytes -= message.size_bytes
        self._last = max(self._last, number)
        return [Send(replies.OK)]

    def _retrieve(self, message: Message, body_lines: int | None) -> Sequence[Effect]:
        request = Retrieve(message=message, body_lines=body_lines, as_stored=self.manner.classic)
        return self._ask(request, self._retrieved)

    def _retrieved(self, answer: object) -> Sequence[Effect]:
        if not answer:
            return [Send(replies.NO_OPEN)]
        # qmail-pop3d puts an empty line before the dot.
        return [Send((b"\r\n" if self.manner.classic else b"") + replies.END)]

    def _write(self, lines: Iterator[bytes]) -> Sequence[Effect]:
        return self._ask(Write(replies.listing(lines)), lambda answer: ())

    def _uid(self, message: Message) -> bytes:
        return message.base if self.manner.classic else unique_id(message.base)


Verb: TypeAlias = Callable[[Transaction, bytes], Sequence[Effect]]

_MAILDROP: Final[dict[bytes, Verb]] = {
    b"stat": Transaction.stat,
    b"list": Transaction.list,
    b"uidl": Transaction.uidl,
    b"retr": Transaction.retr,
    b"top": Transaction.top,
    b"dele": Transaction.dele,
    b"last": Transaction.last,
    b"rset": Transaction.rset,
    b"noop": Transaction.okay,
    b"quit": Transaction.quit,
}
_LOGIN: Final[dict[bytes, Verb]] = {
    b"user": Transaction.user,
    b"pass": Transaction.password,
    b"quit": Transaction.quit_early,
}

#: qmail-popup.c and qmail-pop3d.c: their tables of commands.
CLASSIC: Final[dict[State, dict[bytes, Verb]]] = {
    State.AUTHORIZATION: {**_LOGIN, b"apop": Transaction.apop, b"noop": Transaction.okay},
    State.TRANSACTION: _MAILDROP,
}
#: APOP is absent: auth keeps hashes, from which nobody can answer it.
EXTENDED: Final[dict[State, dict[bytes, Verb]]] = {
    State.AUTHORIZATION: {
        **_LOGIN,
        b"noop": Transaction.okay,
        b"capa": Transaction.capa,
        b"stls": Transaction.stls,
        b"auth": Transaction.auth,
    },
    State.TRANSACTION: {**_MAILDROP, b"capa": Transaction.capa},
}

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
