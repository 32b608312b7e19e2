"""IDLE (RFC 2177)."""

from __future__ import annotations

from qmail.door.session import Send
from services.imap import replies
from services.imap.session.command import Command
from services.imap.session.dialogue import Dialogue, Effects, Phase
from services.imap.session.requests import IdleBegin, IdleEnd, Refresh
from services.imap.session.results import Updates


def idle(dialogue: Dialogue, _command: Command, _arguments: None) -> Effects:
    """The client waits for news from now on."""
    dialogue.phase = Phase.IDLE
    return [Send(replies.go_on(replies.IDLING)), *dialogue.ask(IdleBegin(), _told)]


def changed(dialogue: Dialogue) -> Effects:
    """The selected mailbox may have news."""
    return dialogue.ask(Refresh(), _told)


def _told(answer: Updates) -> Effects:
    return [Send(b"".join(answer.lines))] if answer.lines else []


def take_done(dialogue: Dialogue) -> Effects | None:
    """The line that ends it."""
    line = dialogue.reader.next_line()
    if line is None:
        return None
    done = isinstance(line, bytes) and line.strip().upper() == b"DONE"
    dialogue.phase = Phase.COMMAND

    def ended(answer: Updates) -> Effects:
        if not done:
            return _told(answer) + dialogue.refuse_bad(dialogue.tag, replies.IDLE_WANTED_DONE)
        return _told(answer) + dialogue.ok(replies.completed(b"IDLE"))

    return dialogue.ask(IdleEnd(), ended)
