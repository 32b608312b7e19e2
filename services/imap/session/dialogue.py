"""One connection as its commands see it: what is known of it, and the ways to reply. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from qmail.door.sasl import Exchange
from qmail.door.session import Ask, Close, Effect, Peer, Send
from services.imap import replies
from services.imap.grammar.folders import Append
from services.imap.grammar.reader import CommandReader
from services.imap.session.capability import extensions, log_in
from services.imap.session.command import Command, Commands, State
from services.imap.session.requests import Execute
from services.imap.session.results import Answer, CutShort

# In a row; who understands nothing of the dialogue is no mail program.
MAX_BAD_COMMANDS = 10

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


class Dialogue:
    """One connection's."""

    __slots__ = (
        "append", "bad_commands", "commands", "exchange", "origin", "peer", "phase", "reader", "state", "tag", "terms",
        "then", "tls", "wrong_passwords",
    )  # fmt: skip

    def __init__(self, commands: Commands, terms: Terms) -> None:
        self.commands = commands
        self.terms = terms
        self.peer: Peer
        self.reader = CommandReader()
        self.phase = Phase.COMMAND
        self.state = State.NOT_AUTHENTICATED
        self.tls = False
        #: Of the command that is being carried out.
        self.tag = b""
        #: Takes the answer to the outstanding question.
        self.then: Callable[[Any], Effects] | None = None
        #: In a row.
        self.bad_commands = 0
        #: In all.
        self.wrong_passwords = 0
        #: The client's address, where a front end has told one by ID.
        self.origin = b""
        #: Of AUTHENTICATE.
        self.exchange: Exchange | None = None
        #: What APPEND's next message goes to.
        self.append: Append | None = None

    @property
    def tls_offered(self) -> bool:
        return not self.tls and self.terms.tls_available()

    @property
    def plain_allowed(self) -> bool:
        return self.tls or self.terms.plain_allowed(self.peer)

    def capabilities(self) -> bytes:
        """What the client can do now, in one line."""
        offered = extensions(self.commands)
        if self.state is not State.NOT_AUTHENTICATED:
            return offered
        return offered + log_in(tls_offered=self.tls_offered, plain_allowed=self.plain_allowed)

    def ask(self, request: object, then: Callable[[Any], Effects]) -> Effects:
        """Have the side with I/O do something; `then` takes what it answers."""
        self.then = then
        return [Ask(request)]

    def execute(self, command: Command, arguments: object) -> Effects:
        return self.ask(Execute(self.tag, command, arguments), lambda answer: self.executed(command.name, answer))

    def executed(self, name: bytes, answer: Answer | CutShort) -> Effects:
        """Reply to the command of that name as the operation has ended."""
        if isinstance(answer, CutShort):
            self.phase = Phase.CLOSED
            return [Close()]
        if answer.selected is not None:
            self.state = State.SELECTED if answer.selected else State.AUTHENTICATED
        if answer.kind == b"BAD":
            return self.refuse_bad(self.tag, answer.text)
        self.bad_commands = 0
        done = replies.tagged(self.tag, answer.kind, answer.text or replies.completed(name), answer.code)
        return [Send(b"".join(answer.lines) + done)]

    def ok(self, text: bytes, code: bytes = b"") -> Effects:
        return self._reply(b"OK", text, code)

    def no(self, text: bytes, code: bytes = b"") -> Effects:
        """The command was one, and cannot be done."""
        return self._reply(b"NO", text, code)

    def _reply(self, kind: bytes, text: bytes, code: bytes) -> Effects:
        self.bad_commands = 0
        return [Send(replies.tagged(self.tag, kind, text, code))]

    def refuse_bad(self, tag: bytes | None, text: bytes) -> Effects:
        """A command that is none. Ten of them in a row end the connection."""
        self.bad_commands += 1
        bad = replies.untagged(b"BAD " + text) if tag is None else replies.tagged(tag, b"BAD", text)
        if self.bad_commands >= MAX_BAD_COMMANDS:
            return self.close(bad + replies.bye(replies.TOO_MANY_BAD))
        return [Send(bad)]

    def close(self, farewell: bytes, *, asked: bool = False) -> Effects:
        """`asked`: by the client, who sends no more."""
        self.phase = Phase.CLOSED
        return [Send(farewell), Close(asked)]
