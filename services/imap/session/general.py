"""Commands of the connection that concern no mailbox (RFC 3501 section 6.1, RFC 2342, RFC 2971)."""

from __future__ import annotations

from qmail.door.session import Send, StartTls
from services.imap import replies
from services.imap.grammar.connection import IdFields
from services.imap.session.command import Command, State
from services.imap.session.dialogue import Dialogue, Effects

# How front ends (control/authfrontends) tell their client's address, as Dovecot takes it (login_trusted_networks).
ORIGIN = b"x-originating-ip"


def _completed(dialogue: Dialogue, command: Command, line: bytes) -> Effects:
    return [Send(line), *dialogue.ok(replies.completed(command.name))]


def capability(dialogue: Dialogue, command: Command, _arguments: None) -> Effects:
    """RFC 3501 section 6.1.1."""
    return _completed(dialogue, command, replies.capability(dialogue.capabilities()))


def noop(dialogue: Dialogue, command: Command, arguments: None) -> Effects:
    """With a mailbox selected the operation has something to tell."""
    if dialogue.state is State.SELECTED:
        return dialogue.execute(command, arguments)
    return dialogue.ok(replies.completed(command.name))


def logout(dialogue: Dialogue, command: Command, _arguments: None) -> Effects:
    """RFC 3501 section 6.1.3."""
    done = replies.tagged(dialogue.tag, b"OK", replies.completed(command.name))
    return dialogue.close(replies.bye(replies.GOODBYE) + done, asked=True)


def identify(dialogue: Dialogue, command: Command, arguments: IdFields) -> Effects:
    """RFC 2971."""
    dialogue.origin = next((value for name, value in arguments if name.lower() == ORIGIN), dialogue.origin)
    return _completed(dialogue, command, replies.ID)


def namespace(dialogue: Dialogue, command: Command, _arguments: None) -> Effects:
    """RFC 2342."""
    return _completed(dialogue, command, replies.NAMESPACE)


def starttls(dialogue: Dialogue, _command: Command, _arguments: None) -> Effects:
    """RFC 3501 section 6.2.1."""
    if dialogue.tls:
        return dialogue.refuse_bad(dialogue.tag, replies.ALREADY_TLS)
    if not dialogue.tls_offered:
        return dialogue.no(replies.NO_TLS)
    # What was sent before the handshake must not be obeyed after it (RFC 2595 section 2.4).
    dialogue.reader.clear()
    return [*dialogue.ok(replies.BEGIN_TLS), StartTls()]
