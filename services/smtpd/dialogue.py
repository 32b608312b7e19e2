"""The frame of the dialogue: buffer, lines, replies, the one open question. Pure: no socket, no clock, no `await`.

One table says which verb does what in which state; a step appends replies and asks at most one question. While a
question is open nothing more is read: what the client pipelines waits in the buffer. The steps are in login, envelope
(MAIL and RCPT), text (DATA) and transaction, which puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

from qmail.bus.ports import BusDown, QueueFull, TemporaryError
from qmail.control.files import ControlError
from qmail.door.limits import BEFORE_LOGIN, Patience
from qmail.door.sasl import MECHANISMS, Exchange
from qmail.door.session import Ask, Close, Effect, Peer, Send
from qmail.log.notices import Refused
from qmail.queue.put import EnvelopeTooLarge
from services.smtpd import replies
from services.smtpd.data import DataReader
from services.smtpd.facts import Client, Hook, Hooked, Request
from services.smtpd.grammar import MAX_AUTH_BYTES, MAX_COMMAND_BYTES, parse_command
from services.smtpd.policy import Policy
from services.smtpd.states import CLOSED, COMMAND_STATES, DATA, START, State

# No limit needs looking up for lines up to this.
SHORT_LINE_BYTES = 512
# qmail reads commands of any length; its exact answers are kept up to this.
MAX_QMAIL_COMMAND_BYTES = 65_536
MAX_BAD_COMMANDS = 20

# timeoutsmtpd bounds each read, as in qmail. Whoever puts no message has his place for an hour, and for the time that
# what he sends takes at Postfix's smtpd_min_data_rate, up to a day.
PATIENCE = Patience(seconds=3600.0, bytes_per_second=500)

# wait(2)'s statuses of qmail-smtpd, as tcpserver logs them.
EXIT_QUIT = 0
EXIT_OTHER = 256

# A step is a method of the class that has the table, or of a base of it.
Tell: TypeAlias = Callable[[Refused, bytes, bytes], None]
Step: TypeAlias = Callable[[Any, bytes], None]
Table: TypeAlias = Mapping[State, Mapping[bytes, Step]]
Then: TypeAlias = Callable[[Any], None]

_CLOSE, _CLOSE_AS_ASKED = Close(), Close(asked=True)
# The first digit of a reply that refuses, 4 or 5.
_REFUSING = ord("4")
_KINDS = {
    b"mail": Refused.SENDER,
    b"rcpt": Refused.RECIPIENT,
    b"data": Refused.MESSAGE,
    b"auth": Refused.LOGIN,
    b"star": Refused.TLS,
}
_OF_THE_CONNECTION = frozenset({replies.TIMEOUT, replies.STOPPING})
# A client whose AUTH was refused may go on with what it would have answered.
_MAY_BE_SECRET = frozenset({replies.UNIMPLEMENTED, replies.LINE_TOO_LONG, replies.BAD_COMMANDS})
_NOT_SHOWN = b"(a line after AUTH, not shown)"
MAX_SHOWN_BYTES = 300
# The replies that stand alone most often, made once.
_ALONE = {text: (Send(text),) for text in (replies.OK, replies.GO_AHEAD, replies.MAIL_FIRST, replies.UNIMPLEMENTED)}

# qmail.c's texts, by what they mean here. The rest of its exit codes belong to a queue program that there is not.
_QMAIL_FAILURES: tuple[tuple[type[BaseException], bytes], ...] = (
    (EnvelopeTooLarge, replies.QQ_ENVELOPE_TOO_LONG),
    (QueueFull, replies.QQ_DISK_FULL),
    (BusDown, replies.QQ_TEMPORARY),
    (TemporaryError, replies.QQ_TEMPORARY),
    (MemoryError, replies.QQ_OUT_OF_MEMORY),
    (TimeoutError, replies.QQ_TIMEOUT),
    (ControlError, replies.QQ_CONFIGURATION),
    (ConnectionRefusedError, replies.QQ_REJECTED),
    (OSError, replies.QQ_FILES),
)


class Dialogue:
    """One client's dialogue. After an Ask call `answered` or `failed`; nothing else comes out before."""

    #: With our extensions, and as qmail 1.03.
    TABLE: ClassVar[Table]
    QMAIL_TABLE: ClassVar[Table]

    def __init__(
        self,
        policy: Policy,
        client: Client,
        now: Callable[[], float],
        hooks: frozenset[str] = frozenset(),
        known: Callable[[object], object] = lambda request: None,
        tell: Tell = lambda kind, what, why: None,
    ) -> None:
        """`known` gives the answer to a request that needs no asking, else None; `now` the time since the epoch;
        `tell` hears of each reply that refuses: its kind, what was refused, the reply."""
        self.policy = policy
        self.client = client
        self.exit_status = EXIT_OTHER
        self.account = b""
        #: How many messages were put, and log-ins.
        self.accomplished = 0
        self._now = now
        self._hooks = hooks
        self._known = known
        self._tell = tell
        #: The line that is being answered; in AUTH and DATA the one that began it.
        self._command = b""
        self._auth_refused = False
        self._exact = not policy.extensions
        self._table = self.TABLE if policy.extensions else self.QMAIL_TABLE
        self._state = START
        self._buffer = b""
        self._skipping = False
        self._effects: list[Effect] = []
        self._replies: list[bytes] = []
        self._then: Then | None = None
        self._otherwise: Callable[[BaseException], None] | None = None
        self._bad_commands = 0
        self._helo: bytes | None = None
        self._extended = False
        self._exchange: Exchange
        #: The Received line's beginning; None: to be made from what is known now.
        self._received_head: bytes | None = None
        self._limit = policy.databytes if client.databytes is None else client.databytes
        self._forget_mail()

    # --- what the server calls ---

    @property
    def timeout_seconds(self) -> float:
        return self.policy.timeout_seconds

    @property
    def state(self) -> State:
        return self._state

    @property
    def waiting(self) -> bool:
        """Whether a question is open."""
        return self._then is not None

    @property
    def patience(self) -> Patience:
        """Whoever shall log in and has not is no better than at the doors for reading mail."""
        return BEFORE_LOGIN if self.client.auth_required and not self.account else PATIENCE

    def connected(self, peer: Peer | None = None) -> Sequence[Effect]:
        """Who is connected is known already, by the rules: `client`."""
        self._reply(replies.greeting(self.policy.greeting))
        return self._flush()

    def received(self, data: bytes) -> Sequence[Effect]:
        """Any cut of the client's bytes."""
        self._buffer = self._buffer + data if self._buffer else data
        return self._run()

    def answered(self, answer: object) -> Sequence[Effect]:
        then, self._then, self._otherwise = self._then, None, None
        if then is not None:
            then(answer)
        return self._run()

    def failed(self, error: BaseException) -> Sequence[Effect]:
        otherwise, self._then, self._otherwise = self._otherwise, None, None
        if otherwise is not None:
            otherwise(error)
        return self._run()

    def tls_started(self) -> Sequence[Effect]:
        """RFC 3207 4.2: all that was learnt in plain text is forgotten, buffered commands first of all."""
        self._buffer = b""
        self._helo = None
        self._received_head = None
        self._extended = False
        self.account = b""
        self.client = replace(self.client, tls=True, tls_offered=False, auth_offered=True)
        self._forget_mail()
        return ()

    def notified(self, event: object) -> Sequence[Effect]:
        """There is no other event than `Stopping`."""
        return self.stopping()

    def eof(self) -> Sequence[Effect]:
        """An unfinished message is dropped."""
        return ()

    def stopping(self) -> Sequence[Effect]:
        """The server ends: good-bye as soon as no transaction is begun; () until then."""
        if self._state is not START or self.waiting or self._buffer:
            return ()
        self._end(replies.STOPPING)
        return self._flush()

    def timed_out(self) -> Sequence[Effect]:
        if self._state is not CLOSED:
            self._end(replies.TIMEOUT)
        return self._flush()

    # --- reading ---

    def _run(self) -> Sequence[Effect]:
        """Obey what is buffered, as far as no question is open."""
        while self._buffer and self._then is None:
            state = self._state
            if state is DATA:
                self._read_data()
            elif state is CLOSED:
                self._buffer = b""
            elif not self._read_line(state):
                break
        return self._flush()

    def _flush(self) -> Sequence[Effect]:
        texts = self._replies
        if not self._effects:
            if not texts:
                return ()
            self._replies = []
            return _ALONE.get(texts[0]) or (Send(texts[0]),) if len(texts) == 1 else (Send(b"".join(texts)),)
        effects, self._effects = self._effects, []
        if texts:
            self._replies = []
            effects.insert(0, Send(b"".join(texts)))
        return effects

    def _read_line(self, state: State) -> bool:
        """Obey one line of the buffer. False: there is none yet."""
        buffer = self._buffer
        end = buffer.find(b"\n")
        if (end < 0 and len(buffer) > SHORT_LINE_BYTES) or end > SHORT_LINE_BYTES or self._skipping:
            limit = self._max_line_bytes
            if self._skipping or end > limit or (end < 0 and len(buffer) > limit):
                self._skip_long_line(end)
                return True
        if end < 0:
            return False
        self._buffer = buffer[end + 1 :]
        steps = self._table.get(state)
        if steps is None:
            self._read_auth(buffer[:end])
        else:
            self._command = line = buffer[:end]
            verb, argument = parse_command(line, exact=self._exact)
            steps.get(verb, _unimplemented)(self, argument)
        return True

    @property
    def _max_line_bytes(self) -> int:
        if not self.policy.extensions:
            return MAX_QMAIL_COMMAND_BYTES
        if self._state in COMMAND_STATES and self._buffer[:4].lower() != b"auth":
            return MAX_COMMAND_BYTES
        return MAX_AUTH_BYTES

    def _skip_long_line(self, end: int) -> None:
        """Forget what there is of a line that is too long; answer when its end has come."""
        if not self._skipping and self._state in COMMAND_STATES:
            self._command = self._buffer[:MAX_SHOWN_BYTES]
        self._skipping = end < 0
        self._buffer = b"" if end < 0 else self._buffer[end + 1 :]
        if end >= 0:
            if self._state not in COMMAND_STATES:
                self._state = START
            self._bad(replies.LINE_TOO_LONG)

    def _read_auth(self, line: bytes) -> None:
        """A line of an AUTH exchange (services.smtpd.login)."""
        raise NotImplementedError

    def _read_data(self) -> None:
        """The buffer belongs to a message's text (services.smtpd.text)."""
        raise NotImplementedError

    # --- answering ---

    def _reply(self, text: bytes) -> None:
        self._replies.append(text)
        if text[0] >= _REFUSING:
            self._refused(text)

    def _refused(self, text: bytes) -> None:
        """Tell of a reply that refuses; never of what may be a password."""
        verb = self._command.lstrip()[:4].lower()
        kind = Refused.CONNECTION if text in _OF_THE_CONNECTION else _KINDS.get(verb, Refused.COMMAND)
        self._auth_refused = self._auth_refused or verb == b"auth"
        what = self._command[:MAX_SHOWN_BYTES].rstrip(b"\r")
        if verb == b"auth":
            named = [word for word in what.upper().split()[1:2] if word in MECHANISMS]
            what = b" ".join([b"AUTH", *named])
        elif kind is Refused.COMMAND and self._auth_refused and text in _MAY_BE_SECRET:
            what = _NOT_SHOWN
        elif kind in (Refused.RECIPIENT, Refused.MESSAGE):
            what += b" from <" + self._sender + b">"
        self._tell(kind, what, text.rstrip(b"\r\n"))

    def _bad(self, text: bytes) -> None:
        """A command that was wrong in itself; too many of them in a row end the connection."""
        self._bad_commands += 1
        if self.policy.extensions and self._bad_commands >= MAX_BAD_COMMANDS:
            self._end(replies.BAD_COMMANDS)
        else:
            self._reply(text)

    def _end(self, text: bytes, exit_status: int = EXIT_OTHER) -> None:
        self._reply(text)
        self._flush_into_effects()
        self._effects.append(_CLOSE_AS_ASKED if exit_status == EXIT_QUIT else _CLOSE)
        self._state = CLOSED
        self.exit_status = exit_status

    def _flush_into_effects(self) -> None:
        self._effects.append(Send(b"".join(self._replies)))
        self._replies = []

    def _ask(self, request: Request, then: Then, otherwise: Callable[[BaseException], None]) -> None:
        """Have a question answered and go on with `then`, at once where the answer is known already."""
        answer = self._known(request)
        if answer is None:
            self._effects.append(Ask(request))
            self._then = then
            self._otherwise = otherwise
        else:
            then(answer)

    def _forget_mail(self) -> None:
        self._sender = b""
        self._bad_sender = False
        self._recipients: list[bytes] = []
        self._envelope_bytes = 0
        self._body_type = "7BIT"
        self._smtputf8 = False
        self._reader: DataReader | None = None
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._streaming = False
        self._late_refusal: bytes | None = None
        if self._state is not CLOSED:
            self._state = START

    # --- what several steps need ---

    def _unimplemented(self, argument: bytes) -> None:
        self._bad(replies.UNIMPLEMENTED)

    def _failure(self, error: BaseException) -> bytes:
        """Whatever is unforeseen may pass: the client keeps the message."""
        if not self.policy.extensions:
            return next((text for kind, text in _QMAIL_FAILURES if isinstance(error, kind)), replies.QQ_BUG)
        if isinstance(error, QueueFull):
            return replies.QUEUE_FULL
        if isinstance(error, EnvelopeTooLarge):
            return replies.ENVELOPE_TOO_LARGE
        return replies.BUS_DOWN if isinstance(error, TemporaryError) else replies.LOCAL_ERROR

    def _hooked(self, name: str, address: bytes, options: tuple[bytes, ...], then: Callable[[Hooked], None]) -> None:
        if name not in self._hooks:
            then(Hooked(None, ()))
            return

        def answered(answer: object) -> None:
            assert isinstance(answer, Hooked)
            then(answer)

        self._ask(Hook(name, address, options), answered, lambda _: then(Hooked(replies.LOCAL_ERROR, ())))


_unimplemented: Step = Dialogue._unimplemented
