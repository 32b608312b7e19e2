"""STARTTLS (RFC 3207) and AUTH (RFC 4954) with the mechanisms of qmail.door.sasl, as steps of the dialogue. Pure."""

from __future__ import annotations

from qmail.door.sasl import MECHANISMS, Challenge, Credentials, Exchange, Fault
from qmail.door.session import StartTls
from services.smtpd import replies
from services.smtpd.dialogue import Dialogue
from services.smtpd.facts import Login


def starttls(dialogue: Dialogue, argument: bytes) -> None:
    if dialogue.client.tls:
        dialogue.bad(replies.TLS_ALREADY)
    elif not dialogue.client.tls_offered:
        dialogue.bad(replies.TLS_UNAVAILABLE)
    elif argument:
        dialogue.bad(replies.TLS_NO_ARGUMENT)
    else:
        dialogue.proceed(replies.TLS_READY)
        dialogue.emit(StartTls())


def auth(dialogue: Dialogue, argument: bytes) -> None:
    mechanism, _, initial = argument.partition(b" ")
    refusal = _refuse_auth(dialogue, mechanism.upper())
    if refusal is not None:
        dialogue.bad(refusal)
        return
    dialogue.exchange = Exchange(mechanism.upper())
    said = dialogue.exchange.begin(initial or None)
    if isinstance(said, Challenge):
        dialogue.proceed(replies.auth_challenge(said.text))
    else:
        _finish(dialogue, said)


def auth_line(dialogue: Dialogue, line: bytes) -> None:
    """A line of the exchange that AUTH began."""
    assert dialogue.exchange is not None
    said = dialogue.exchange.answer(line)
    if isinstance(said, Challenge):
        dialogue.reply(replies.auth_challenge(said.text))
    else:
        dialogue.advance()
        _finish(dialogue, said)


def _refuse_auth(dialogue: Dialogue, mechanism: bytes) -> bytes | None:
    if dialogue.account:
        return replies.AUTH_ALREADY
    if not dialogue.client.auth_offered:
        return replies.AUTH_NEEDS_TLS if dialogue.client.tls_offered else replies.UNIMPLEMENTED
    return None if mechanism in MECHANISMS else replies.AUTH_MECHANISM


def _finish(dialogue: Dialogue, said: Credentials | Fault) -> None:
    if not isinstance(said, Credentials):
        dialogue.bad(replies.AUTH_CANCELLED if said is Fault.CANCELLED else replies.AUTH_SYNTAX)
        return

    def answered(name: object) -> None:
        if isinstance(name, bytes) and name:
            dialogue.logged_in(name)
            dialogue.reply(replies.AUTH_OK)
        else:
            dialogue.bad(replies.AUTH_FAILED)

    request = Login(said.mechanism, said.user, said.password)
    dialogue.ask(request, answered, lambda _: dialogue.reply(replies.AUTH_TEMPORARY))
