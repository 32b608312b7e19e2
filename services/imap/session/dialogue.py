"""One client's dialogue: bytes in, effects out, no I/O (RFC 3501 section 3).

Commands that touch mailboxes are asked of the handler; what belongs to the connection (TLS, log-in, IDLE, the way of
APPEND's literals) is decided here. At most one question is outstanding; what the client sends meanwhile waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from qmail.door.limits import BEFORE_LOGIN, Patience
from qmail.door.sasl import MECHANISMS, Challenge, Credentials, Exchange, Fault, Step
from qmail.door.session import Ask, Close, Effect, Peer, Send, StartTls, Stopping
from services.imap import replies
from services.imap.grammar import commands as c
from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.parse import Bad, append_arguments, append_head, parse_command, split_tag
from services.imap.grammar.reader import Announced, Chunk, CommandReader, Complete, TooLong
from services.imap.session.capability import capabilities
from services.imap.session.requests import (
    AppendAbort,
    AppendBegin,
    AppendCommit,
    AppendData,
    CheckPassword,
    Execute,
    IdleBegin,
    IdleEnd,
    Refresh,
)
from services.imap.session.results import Answer, Changed, CutShort, LoggedIn, LoginRefused, Ready, Updates

# In a row; who understands nothing of the dialogue is no mail program.
MAX_BAD_COMMANDS = 10
# How front ends (control/authfrontends) tell their client's address, as Dovecot takes it (login_trusted_networks).
ORIGIN = b"x-originating-ip"
MAX_WRONG_PASSWORDS = 10
LOGIN_SECONDS = 180.0
# RFC 3501 section 5.4: at least 30 minutes.
IDLE_SECONDS = 31 * 60.0

Effects = list[Effect]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a connection is offered; each is asked when it matters."""

    plain_allowed: Callable[[Peer], bool]
    tls_available: Callable[[], bool]


class Phase(Enum):
    """What the next bytes of the client are."""

    COMMAND = "a command"
    MESSAGE = "a message's octets"
    AFTER_MESSAGE = "the end of APPEND, or its next message"
    SASL = "a SASL answer"
    IDLE = "DONE"
    CLOSED = "nothing"


class ImapSession:
    """Implements `qmail.door.session.Session`."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._peer: Peer
        self._reader = CommandReader()
        self._phase = Phase.COMMAND
        self._tls = False
        self._state = c.NOT_AUTHENTICATED
        #: Commands in a row that were none, and passwords that were wrong in all.
        self._bad = 0
        self._wrong = 0
        self._tag = b""
        self._append: c.Append | None = None
        self._then: Callable[[object], Effects] | None = None
        self._exchange: Exchange
        self._origin = b""

    # --- what the server calls ---

    @property
    def timeout_seconds(self) -> float:
        return LOGIN_SECONDS if self._state == c.NOT_AUTHENTICATED else IDLE_SECONDS

    @property
    def patience(self) -> Patience | None:
        return BEFORE_LOGIN if self._state == c.NOT_AUTHENTICATED else None

    @property
    def accomplished(self) -> int:
        return 0 if self._state == c.NOT_AUTHENTICATED else 1

    def connected(self, peer: Peer) -> Sequence[Effect]:
        self._peer, self._tls = peer, peer.tls
        return [Send(replies.untagged(b"OK [CAPABILITY " + self._capabilities() + b"] " + replies.READY))]

    def received(self, data: bytes) -> Sequence[Effect]:
        self._reader.feed(data)
        return self._go_on([])

    def answered(self, answer: object) -> Sequence[Effect]:
        assert self._then is not None
        then, self._then = self._then, None
        return self._go_on(then(answer))

    def failed(self, error: BaseException) -> Sequence[Effect]:
        """What nobody foresaw. A connection in the middle of APPEND or IDLE cannot be followed any more."""
        self._then = None
        if self._phase is Phase.COMMAND and not self._reader.undecided:
            no = replies.tagged(self._tag, b"NO", replies.INTERNAL, replies.CODE_SERVER_BUG)
            return self._go_on([Send(no)])
        return self._close(replies.bye(replies.INTERNAL, replies.CODE_SERVER_BUG))

    def notified(self, event: object) -> Sequence[Effect]:
        if isinstance(event, Stopping) and self._phase in (Phase.COMMAND, Phase.IDLE):
            return self._close(replies.bye(replies.STOPPING, replies.CODE_UNAVAILABLE))
        if isinstance(event, Changed) and self._phase is Phase.IDLE:
            return self._ask(Refresh(), self._told)
        return ()

    def tls_started(self) -> Sequence[Effect]:
        self._tls = True
        return ()

    def timed_out(self) -> Sequence[Effect]:
        return self._close(replies.bye(replies.TIMED_OUT))

    def eof(self) -> Sequence[Effect]:
        return ()

    # --- the dialogue ---

    def _go_on(self, effects: Effects) -> Effects:
        """Take what is buffered, up to a question or the end of the bytes."""
        while self._then is None and self._phase is not Phase.CLOSED:
            more = self._steps[self._phase](self)
            if more is None:
                break
            effects += more
        return effects

    def _ask(self, request: object, then: Callable[[object], Effects]) -> Effects:
        self._then = then
        return [Ask(request)]

    def _close(self, farewell: bytes, *, asked: bool = False) -> Effects:
        self._phase = Phase.CLOSED
        return [Send(farewell), Close(asked)]

    def _reply(self, kind: bytes, text: bytes, code: bytes = b"") -> Effects:
        """OK or NO: the command was one."""
        self._bad = 0
        return [Send(replies.tagged(self._tag, kind, text, code))]

    def _refuse_bad(self, tag: bytes | None, text: bytes) -> Effects:
        """A command that is none. Ten of them in a row end the connection."""
        self._bad += 1
        bad = replies.untagged(b"BAD " + text) if tag is None else replies.tagged(tag, b"BAD", text)
        if self._bad >= MAX_BAD_COMMANDS:
            return self._close(bad + replies.bye(replies.TOO_MANY_BAD))
        return [Send(bad)]

    def _capabilities(self) -> bytes:
        return capabilities(
            authenticated=self._state != c.NOT_AUTHENTICATED,
            tls_offered=not self._tls and self._terms.tls_available(),
            plain_allowed=self._plain_allowed(),
        )

    def _plain_allowed(self) -> bool:
        return self._tls or self._terms.plain_allowed(self._peer)

    def _step_command(self) -> Effects | None:
        event = self._reader.next()
        match event:
            case Complete(parts):
                return self._command(parts)
            case Announced():
                return self._announced(event)
            case TooLong(parts):
                return self._refuse_bad(split_tag(parts)[0], replies.LINE_TOO_LONG)
        return None

    def _command(self, parts: tuple[bytes, ...]) -> Effects:
        if parts == (b"",):
            return []
        parsed = parse_command(parts)
        if isinstance(parsed, Bad):
            text = replies.NO_TAG if parsed.tag is None else replies.error_text(parsed.text)
            return self._refuse_bad(parsed.tag, text)
        self._tag, command = parsed
        if not self._allowed(command):
            return self._refuse_bad(self._tag, replies.NOT_NOW)
        here = _HERE.get(type(command))
        if here is not None:
            return here(self, command)
        return self._ask(Execute(self._tag, command), self._executed)

    def _allowed(self, command: c.Command) -> bool:
        if command.state == c.AUTHENTICATED:
            return self._state in (c.AUTHENTICATED, c.SELECTED)
        return command.state in (c.ANY, self._state)

    def _executed(self, answer: object) -> Effects:
        if isinstance(answer, CutShort):
            self._phase = Phase.CLOSED
            return [Close()]
        assert isinstance(answer, Answer)
        if answer.selected is not None:
            self._state = c.SELECTED if answer.selected else c.AUTHENTICATED
        if answer.kind == b"BAD":
            return self._refuse_bad(self._tag, answer.text)
        self._bad = 0
        done = replies.tagged(self._tag, answer.kind, answer.text, answer.code)
        return [Send(b"".join(answer.lines) + done)]

    # --- commands that belong to the connection ---

    def _capability(self, command: c.Command) -> Effects:
        line = replies.untagged(b"CAPABILITY " + self._capabilities())
        return [Send(line), *self._reply(b"OK", replies.completed(command.verb))]

    def _noop(self, command: c.Command) -> Effects:
        if self._state == c.SELECTED:
            return self._ask(Execute(self._tag, command), self._executed)
        return self._reply(b"OK", replies.completed(command.verb))

    def _logout(self, command: c.Command) -> Effects:
        done = replies.tagged(self._tag, b"OK", replies.completed(command.verb))
        return self._close(replies.bye(replies.GOODBYE) + done, asked=True)

    def _id(self, command: c.Command) -> Effects:
        assert isinstance(command, c.Id)
        self._origin = next((value for name, value in command.fields if name.lower() == ORIGIN), self._origin)
        line = replies.untagged(b'ID ("name" ' + b'"' + replies.SERVER_NAME + b'"' + b")")
        return [Send(line), *self._reply(b"OK", replies.completed(command.verb))]

    def _enable(self, command: c.Command) -> Effects:
        """Nothing that can be enabled is offered yet; RFC 5161 section 3.1: unknown names are ignored."""
        return [Send(replies.untagged(b"ENABLED")), *self._reply(b"OK", replies.completed(command.verb))]

    def _namespace(self, command: c.Command) -> Effects:
        return [Send(replies.NAMESPACE), *self._reply(b"OK", replies.completed(command.verb))]

    def _starttls(self, command: c.Command) -> Effects:
        if self._tls:
            return self._refuse_bad(self._tag, replies.ALREADY_TLS)
        if not self._terms.tls_available():
            return self._reply(b"NO", replies.NO_TLS)
        # What was sent before the handshake must not be obeyed after it (RFC 2595 section 2.4).
        self._reader.clear()
        return [*self._reply(b"OK", replies.BEGIN_TLS), StartTls()]

    # --- log-in ---

    def _login(self, command: c.Command) -> Effects:
        assert isinstance(command, c.Login)
        return self._check(command.user, command.password)

    def _authenticate(self, command: c.Command) -> Effects:
        assert isinstance(command, c.Authenticate)
        if command.mechanism not in MECHANISMS:
            return self._reply(b"NO", replies.MECHANISM_UNKNOWN)
        if not self._plain_allowed():
            return self._reply(b"NO", replies.LOGIN_NEEDS_TLS, replies.CODE_PRIVACY)
        self._exchange = Exchange(command.mechanism)
        return self._follow_sasl(self._exchange.begin(command.initial))

    def _step_sasl(self) -> Effects | None:
        line = self._reader.next_line()
        if line is None:
            return None
        self._phase = Phase.COMMAND
        if isinstance(line, TooLong):
            return self._refuse_bad(self._tag, replies.LINE_TOO_LONG)
        return self._follow_sasl(self._exchange.answer(line))

    def _follow_sasl(self, step: Step) -> Effects:
        if isinstance(step, Challenge):
            self._phase = Phase.SASL
            return [Send(replies.go_on(step.text))]
        if isinstance(step, Credentials):
            return self._check(step.user, step.password)
        text = replies.AUTH_CANCELLED if step is Fault.CANCELLED else replies.AUTH_MALFORMED
        return self._refuse_bad(self._tag, text)

    def _check(self, user: bytes, password: bytes) -> Effects:
        if not self._plain_allowed():
            return self._reply(b"NO", replies.LOGIN_NEEDS_TLS, replies.CODE_PRIVACY)
        return self._ask(CheckPassword(user, password, self._tls, self._origin), self._checked)

    def _checked(self, answer: object) -> Effects:
        if isinstance(answer, LoggedIn):
            self._state = c.AUTHENTICATED
            return self._reply(b"OK", b"LOGIN Ok.", b"CAPABILITY " + self._capabilities())
        assert isinstance(answer, LoginRefused)
        if answer.crowded:
            return self._reply(b"NO", replies.TOO_MANY_SESSIONS, replies.CODE_LIMIT)
        if answer.temporary:
            return self._reply(b"NO", replies.LOGIN_UNAVAILABLE, replies.CODE_UNAVAILABLE)
        self._wrong += 1
        no = replies.tagged(self._tag, b"NO", replies.LOGIN_FAILED, replies.CODE_AUTH_FAILED)
        if self._wrong >= MAX_WRONG_PASSWORDS:
            return self._close(no + replies.bye(replies.TOO_MANY_BAD))
        return [Send(no)]

    # --- IDLE, RFC 2177 ---

    def _idle(self, command: c.Command) -> Effects:
        self._phase = Phase.IDLE
        return [Send(replies.go_on(replies.IDLING)), *self._ask(IdleBegin(), self._told)]

    def _told(self, answer: object) -> Effects:
        assert isinstance(answer, Updates)
        return [Send(b"".join(answer.lines))] if answer.lines else []

    def _step_idle(self) -> Effects | None:
        line = self._reader.next_line()
        if line is None:
            return None
        fine = isinstance(line, bytes) and line.strip().upper() == b"DONE"
        self._phase = Phase.COMMAND

        def ended(answer: object) -> Effects:
            told = self._told(answer)
            if not fine:
                return told + self._refuse_bad(self._tag, replies.IDLE_WANTED_DONE)
            return told + self._reply(b"OK", replies.completed(b"IDLE"))

        return self._ask(IdleEnd(), ended)

    # --- literals and APPEND ---

    def _announced(self, literal: Announced) -> Effects:
        tag = split_tag(literal.parts)[0]
        try:
            command = append_head(literal.parts)
        except BadSyntax as error:
            self._reader.refuse_literal()
            return self._refuse_bad(tag, replies.error_text(str(error)))
        if command is not None:
            return self._append_begins(tag or b"*", command, literal)
        if tag is None or not self._reader.fits(literal):
            self._reader.refuse_literal()
            return self._refuse_bad(tag, replies.NO_TAG if tag is None else replies.LITERAL_TOO_LONG)
        self._reader.accept_literal()
        return [Send(replies.go_on(replies.LITERAL_GOES_ON))] if literal.synchronising else []

    def _append_begins(self, tag: bytes, command: c.Append, literal: Announced) -> Effects:
        self._tag = tag
        if not self._allowed(command):
            self._reader.refuse_literal()
            return self._refuse_bad(tag, replies.NOT_NOW)
        self._append = command

        def begun(answer: object) -> Effects:
            if isinstance(answer, Answer):
                self._phase = Phase.COMMAND
                self._reader.refuse_literal()
                return self._executed(answer)
            self._phase = Phase.MESSAGE
            self._reader.stream_literal()
            return [Send(replies.go_on(replies.APPEND_GOES_ON))] if literal.synchronising else []

        return self._ask(AppendBegin(command, literal.size), begun)

    def _step_message(self) -> Effects | None:
        chunk = self._reader.next()
        if chunk is None:
            return None
        assert isinstance(chunk, Chunk)

        def taken(answer: object) -> Effects:
            assert isinstance(answer, Ready)
            if chunk.last:
                self._phase = Phase.AFTER_MESSAGE
            return []

        return self._ask(AppendData(chunk.data), taken)

    def _step_after_message(self) -> Effects | None:
        event = self._reader.next()
        if event is None:
            return None
        if isinstance(event, Complete) and not event.parts[-1].strip(b" "):
            self._phase = Phase.COMMAND
            return self._ask(AppendCommit(), self._executed)
        if isinstance(event, Announced):
            return self._next_message(event)
        self._phase = Phase.COMMAND
        return self._ask(AppendAbort(), lambda _: self._refuse_bad(self._tag, replies.APPEND_SYNTAX))

    def _next_message(self, literal: Announced) -> Effects:
        """MULTIAPPEND, RFC 3502: flags, date and literal of one more message."""
        assert self._append is not None
        cursor = Cursor((literal.parts[-1],))
        try:
            flags, date = append_arguments(cursor)
        except BadSyntax:
            self._phase = Phase.COMMAND
            self._reader.refuse_literal()
            return self._ask(AppendAbort(), lambda _: self._refuse_bad(self._tag, replies.APPEND_SYNTAX))
        command = c.Append(self._append.mailbox, flags, date)
        return self._append_begins(self._tag, command, literal)

    _steps: ClassVar[dict[Phase, Callable[[ImapSession], Effects | None]]] = {
        Phase.COMMAND: _step_command,
        Phase.MESSAGE: _step_message,
        Phase.AFTER_MESSAGE: _step_after_message,
        Phase.SASL: _step_sasl,
        Phase.IDLE: _step_idle,
    }


_HERE: dict[type[c.Command], Callable[[ImapSession, c.Command], Effects]] = {
    c.Capability: ImapSession._capability,
    c.Noop: ImapSession._noop,
    c.Logout: ImapSession._logout,
    c.Id: ImapSession._id,
    c.Enable: ImapSession._enable,
    c.Namespace: ImapSession._namespace,
    c.StartTlsCommand: ImapSession._starttls,
    c.Login: ImapSession._login,
    c.Authenticate: ImapSession._authenticate,
    c.Idle: ImapSession._idle,
}
