"""LOGIN and AUTHENTICATE (RFC 3501 section 6.2, RFC 4959)."""

from __future__ import annotations

from qmail.door.sasl import MECHANISMS, Challenge, Credentials, Exchange, Fault
from qmail.door.sasl import Step as SaslStep
from qmail.door.session import Send
from services.imap import replies
from services.imap.grammar.connection import Authenticate, Login
from services.imap.grammar.reader import TooLong
from services.imap.session.command import Command, State
from services.imap.session.dialogue import Dialogue, Effects, Phase
from services.imap.session.requests import CheckPassword
from services.imap.session.results import LoggedIn, LoginRefused

MAX_WRONG_PASSWORDS = 10


def login(dialogue: Dialogue, _command: Command, arguments: Login) -> Effects:
    """RFC 3501 section 6.2.3."""
    return _check(dialogue, arguments.user, arguments.password)


def authenticate(dialogue: Dialogue, _command: Command, arguments: Authenticate) -> Effects:
    """RFC 3501 section 6.2.2."""
    if arguments.mechanism not in MECHANISMS:
        return dialogue.no(replies.MECHANISM_UNKNOWN)
    if not dialogue.plain_allowed:
        return dialogue.no(replies.LOGIN_NEEDS_TLS, replies.CODE_PRIVACY)
    exchange = Exchange(arguments.mechanism)
    return _follow(dialogue, exchange, exchange.begin(arguments.initial))


def take_response(dialogue: Dialogue) -> Effects | None:
    """The client's answer to a challenge."""
    line = dialogue.reader.next_line()
    if line is None:
        return None
    dialogue.phase = Phase.COMMAND
    if isinstance(line, TooLong):
        return dialogue.refuse_bad(dialogue.tag, replies.LINE_TOO_LONG)
    assert dialogue.exchange is not None
    return _follow(dialogue, dialogue.exchange, dialogue.exchange.answer(line))


def _follow(dialogue: Dialogue, exchange: Exchange, step: SaslStep) -> Effects:
    if isinstance(step, Challenge):
        dialogue.phase, dialogue.exchange = Phase.SASL, exchange
        return [Send(replies.go_on(step.text))]
    if isinstance(step, Credentials):
        return _check(dialogue, step.user, step.password)
    text = replies.AUTH_CANCELLED if step is Fault.CANCELLED else replies.AUTH_MALFORMED
    return dialogue.refuse_bad(dialogue.tag, text)


def _check(dialogue: Dialogue, user: bytes, password: bytes) -> Effects:
    if not dialogue.plain_allowed:
        return dialogue.no(replies.LOGIN_NEEDS_TLS, replies.CODE_PRIVACY)
    request = CheckPassword(user, password, dialogue.tls, dialogue.origin)
    return dialogue.ask(request, lambda answer: _checked(dialogue, answer))


def _checked(dialogue: Dialogue, answer: LoggedIn | LoginRefused) -> Effects:
    if isinstance(answer, LoggedIn):
        dialogue.state = State.AUTHENTICATED
        return dialogue.ok(replies.LOGGED_IN, replies.capability_code(dialogue.capabilities()))
    if answer.crowded:
        return dialogue.no(replies.TOO_MANY_SESSIONS, replies.CODE_LIMIT)
    if answer.temporary:
        return dialogue.no(replies.LOGIN_UNAVAILABLE, replies.CODE_UNAVAILABLE)
    dialogue.wrong_passwords += 1
    no = replies.tagged(dialogue.tag, b"NO", replies.LOGIN_FAILED, replies.CODE_AUTH_FAILED)
    if dialogue.wrong_passwords >= MAX_WRONG_PASSWORDS:
        return dialogue.close(no + replies.bye(replies.TOO_MANY_BAD))
    return [Send(no)]
