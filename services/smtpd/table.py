"""The SMTP dialogue's transitions (RFC 5321 4.1.4; qmail-smtpd(8)). Pure.

A row says which step answers a verb in a state, and which state follows where the step proceeds; else the state stays.
`control/extensions` = none takes the verbs and answers of qmail 1.03; else those of ours are added, and qmail's
texts stay as they are.

Why: docs/decisions/0016-smtp-by-a-table-and-a-handler-beside-it.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from services.smtpd import replies
from services.smtpd.dialogue import EXIT_QUIT, Dialogue
from services.smtpd.envelope import mail, rcpt
from services.smtpd.greeting import ehlo, helo
from services.smtpd.login import auth, auth_line, starttls
from services.smtpd.states import AUTH, CLOSED, DATA, MAIL, RCPT, START, TLS, State
from services.smtpd.text import data, text

Step: TypeAlias = Callable[[Dialogue, bytes], None]


class Row(NamedTuple):
    """`step` answers, given the argument; where it proceeds, `next` follows."""

    step: Step
    next: State


Table: TypeAlias = Mapping[State, Mapping[bytes, Row]]

#: In the verb's place: what is no command (a line of AUTH, DATA's text), and a line that is too long.
INPUT: Final = b""
TOO_LONG: Final = b"\n"


def _says(verb: str, text: bytes) -> Step:
    def step(dialogue: Dialogue, argument: bytes) -> None:
        dialogue.ask_plugin(verb, argument, lambda hooked: dialogue.proceed(hooked.status or text))

    return step


def _refuses(text: bytes) -> Step:
    return lambda dialogue, _argument: dialogue.bad(text)


noop, rset = _says("NOOP", replies.OK), _says("RSET", replies.FLUSHED)
help_, vrfy = _says("HELP", replies.HELP), _says("VRFY", replies.VRFY)
mail_first, rcpt_first = _refuses(replies.MAIL_FIRST), _refuses(replies.RCPT_FIRST)
unimplemented, no_auth_now = _refuses(replies.UNIMPLEMENTED), _refuses(replies.AUTH_DURING_MAIL)


def quit_(dialogue: Dialogue, argument: bytes) -> None:
    text = replies.quit(dialogue.policy.greeting)
    dialogue.ask_plugin("QUIT", argument, lambda hooked: dialogue.end(hooked.status or text, EXIT_QUIT))


def too_long(dialogue: Dialogue, _argument: bytes) -> None:
    dialogue.advance()
    dialogue.bad(replies.LINE_TOO_LONG)


#: The row of a verb that has none.
UNKNOWN: Final = Row(unimplemented, START)

_ROWS: tuple[tuple[State, bytes, Step, State], ...] = (
    (START, b"mail", mail, MAIL),
    (START, b"rcpt", mail_first, START),
    (START, b"data", mail_first, START),
    (MAIL, b"mail", mail, MAIL),
    (MAIL, b"rcpt", rcpt, RCPT),
    (MAIL, b"data", rcpt_first, MAIL),
    (RCPT, b"mail", mail, MAIL),
    (RCPT, b"rcpt", rcpt, RCPT),
    (RCPT, b"data", data, DATA),
    (DATA, INPUT, text, START),
    *((state, b"helo", helo, START) for state in (START, MAIL, RCPT)),
    *((state, b"ehlo", ehlo, START) for state in (START, MAIL, RCPT)),
    *((state, b"rset", rset, START) for state in (START, MAIL, RCPT)),
    *((state, b"noop", noop, state) for state in (START, MAIL, RCPT)),
    *((state, b"help", help_, state) for state in (START, MAIL, RCPT)),
    *((state, b"vrfy", vrfy, state) for state in (START, MAIL, RCPT)),
    *((state, b"quit", quit_, CLOSED) for state in (START, MAIL, RCPT)),
    *((state, TOO_LONG, too_long, state) for state in (START, MAIL, RCPT)),
)
_EXTENSIONS: tuple[tuple[State, bytes, Step, State], ...] = (
    (START, b"auth", auth, AUTH),
    (MAIL, b"auth", no_auth_now, MAIL),
    (RCPT, b"auth", no_auth_now, RCPT),
    (AUTH, INPUT, auth_line, START),
    (AUTH, TOO_LONG, too_long, START),
    *((state, b"starttls", starttls, TLS) for state in (START, MAIL, RCPT)),
)


def _table(rows: Iterable[tuple[State, bytes, Step, State]]) -> Table:
    table: dict[State, dict[bytes, Row]] = {state: {} for state in State}
    for state, verb, step, following in rows:
        table[state][verb] = Row(step, following)
    return table


QMAIL_TABLE: Final = _table(_ROWS)
TABLE: Final = _table((*_ROWS, *_EXTENSIONS))
