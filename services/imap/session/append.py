"""Literals, and APPEND's, which go through in pieces (RFC 3501 sections 4.3 and 6.3.11, RFC 3502, RFC 7888)."""

from __future__ import annotations

from qmail.door.session import Send
from services.imap import replies
from services.imap.grammar.command import parse_before_message, split_tag
from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.folders import Append, parse_flags_and_date
from services.imap.grammar.reader import Announced, Chunk, Complete
from services.imap.session.dialogue import Dialogue, Effects, Phase
from services.imap.session.requests import AppendAbort, AppendBegin, AppendCommit, AppendData
from services.imap.session.results import Answer, Ready

VERB = b"APPEND"


def announced(dialogue: Dialogue, literal: Announced) -> Effects:
    """A literal is to come: a message, or an argument of any command."""
    tag = split_tag(literal.parts)[0]
    if tag is None:
        return _refuse(dialogue, None, replies.NO_TAG)
    try:
        found = parse_before_message(literal.parts, dialogue.commands)
    except BadSyntax as error:
        return _refuse(dialogue, tag, replies.error_text(str(error)))
    if found is None:
        return _argument(dialogue, tag, literal)
    command, arguments = found
    dialogue.tag = tag
    if dialogue.state not in command.states:
        return _refuse(dialogue, tag, replies.NOT_NOW)
    return _begin(dialogue, arguments, literal)


def _refuse(dialogue: Dialogue, tag: bytes | None, text: bytes) -> Effects:
    dialogue.reader.refuse_literal()
    return dialogue.refuse_bad(tag, text)


def _argument(dialogue: Dialogue, tag: bytes, literal: Announced) -> Effects:
    if not dialogue.reader.fits(literal):
        return _refuse(dialogue, tag, replies.LITERAL_TOO_LONG)
    dialogue.reader.accept_literal()
    return [Send(replies.go_on(replies.LITERAL_GOES_ON))] if literal.synchronising else []


def _begin(dialogue: Dialogue, arguments: Append, literal: Announced) -> Effects:
    dialogue.append = arguments

    def begun(answer: Ready | Answer) -> Effects:
        if isinstance(answer, Answer):
            dialogue.phase = Phase.COMMAND
            dialogue.reader.refuse_literal()
            return dialogue.executed(VERB, answer)
        dialogue.phase = Phase.MESSAGE
        dialogue.reader.stream_literal()
        return [Send(replies.go_on(replies.APPEND_GOES_ON))] if literal.synchronising else []

    return dialogue.ask(AppendBegin(arguments, literal.size), begun)


def take_message(dialogue: Dialogue) -> Effects | None:
    """Octets of the message."""
    chunk = dialogue.reader.next()
    if chunk is None:
        return None
    assert isinstance(chunk, Chunk)

    def taken(_answer: Ready) -> Effects:
        if chunk.last:
            dialogue.phase = Phase.AFTER_MESSAGE
        return []

    return dialogue.ask(AppendData(chunk.data), taken)


def take_after_message(dialogue: Dialogue) -> Effects | None:
    """The end of the command, or MULTIAPPEND's next message."""
    event = dialogue.reader.next()
    if event is None:
        return None
    if isinstance(event, Complete) and not event.parts[-1].strip(b" "):
        dialogue.phase = Phase.COMMAND
        return dialogue.ask(AppendCommit(), lambda answer: dialogue.executed(VERB, answer))
    if isinstance(event, Announced):
        return _next_message(dialogue, event)
    return _abort(dialogue)


def _next_message(dialogue: Dialogue, literal: Announced) -> Effects:
    assert dialogue.append is not None
    try:
        flags, date = parse_flags_and_date(Cursor((literal.parts[-1],)))
    except BadSyntax:
        dialogue.reader.refuse_literal()
        return _abort(dialogue)
    return _begin(dialogue, Append(dialogue.append.mailbox, flags, date), literal)


def _abort(dialogue: Dialogue) -> Effects:
    dialogue.phase = Phase.COMMAND
    return dialogue.ask(AppendAbort(), lambda _: dialogue.refuse_bad(dialogue.tag, replies.APPEND_SYNTAX))
