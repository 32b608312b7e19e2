"""IMAP commands as a client writes them, carried out by a MailboxSession without a connection."""

from __future__ import annotations

from dataclasses import replace

from services.imap.commands import COMMANDS
from services.imap.grammar.command import parse_command
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.session.requests import Execute
from services.imap.session.results import Answer


def request(text: bytes, *more: bytes) -> Execute:
    """What the session asks for on a command with its tag; `more`: literals and what follows them."""
    parsed = parse_command((text, *more), COMMANDS)
    assert isinstance(parsed, tuple), parsed
    return Execute(*parsed)


def perform(session: MailboxSession, text: bytes) -> Answer:
    """The Answer to a command with its tag; what was sent before it is its first line."""
    data, answer = session.begin(request(text))
    while answer is None:
        more, answer = session.go_on()
        data += more
    assert isinstance(answer, Answer), answer
    return replace(answer, lines=(data, *answer.lines) if data else answer.lines)
