"""One client's session: bytes in, effects out, no I/O (RFC 3501 section 3).

At most one question is outstanding; what the client sends meanwhile waits, so commands are carried out one after the
other, in the order in which they were sent (RFC 3501 section 5.5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qmail.door.limits import BEFORE_LOGIN, Patience
from qmail.door.session import Effect, Peer, Send, Stopping
from services.imap import replies
from services.imap.grammar.command import Bad, parse_command, split_tag
from services.imap.grammar.reader import Announced, Complete, TooLong
from services.imap.session import append, idle, login
from services.imap.session.command import Commands, State
from services.imap.session.dialogue import Dialogue, Effects, Phase, Terms
from services.imap.session.results import Changed

LOGIN_SECONDS = 180.0
# RFC 3501 section 5.4: at least 30 minutes.
IDLE_SECONDS = 31 * 60.0


class ImapSession:
    """Implements `qmail.door.session.Session`. `commands`: the table (services.imap.commands)."""

    __slots__ = ("_dialogue",)

    def __init__(self, commands: Commands, terms: Terms) -> None:
        self._dialogue = Dialogue(commands, terms)

    @property
    def _logged_in(self) -> bool:
        return self._dialogue.state is not State.NOT_AUTHENTICATED

    @property
    def timeout_seconds(self) -> float:
        return IDLE_SECONDS if self._logged_in else LOGIN_SECONDS

    @property
    def patience(self) -> Patience | None:
        return None if self._logged_in else BEFORE_LOGIN

    @property
    def accomplished(self) -> int:
        return int(self._logged_in)

    def connected(self, peer: Peer) -> Sequence[Effect]:
        dialogue = self._dialogue
        dialogue.peer, dialogue.tls = peer, peer.tls
        return [Send(replies.greeting(dialogue.capabilities()))]

    def received(self, data: bytes) -> Sequence[Effect]:
        self._dialogue.reader.feed(data)
        return self._go_on([])

    def answered(self, answer: object) -> Sequence[Effect]:
        then, self._dialogue.then = self._dialogue.then, None
        assert then is not None
        return self._go_on(then(answer))

    def failed(self, _error: BaseException) -> Sequence[Effect]:
        """What nobody foresaw. A connection in the middle of APPEND or IDLE cannot be followed any more."""
        dialogue = self._dialogue
        dialogue.then = None
        if dialogue.phase is Phase.COMMAND and not dialogue.reader.undecided:
            no = replies.tagged(dialogue.tag, b"NO", replies.INTERNAL, replies.CODE_SERVER_BUG)
            return self._go_on([Send(no)])
        return dialogue.close(replies.bye(replies.INTERNAL, replies.CODE_SERVER_BUG))

    def notified(self, event: object) -> Sequence[Effect]:
        dialogue = self._dialogue
        if isinstance(event, Stopping) and dialogue.phase in (Phase.COMMAND, Phase.IDLE):
            return dialogue.close(replies.bye(replies.STOPPING, replies.CODE_UNAVAILABLE))
        if isinstance(event, Changed) and dialogue.phase is Phase.IDLE:
            return idle.changed(dialogue)
        return ()

    def tls_started(self) -> Sequence[Effect]:
        self._dialogue.tls = True
        return ()

    def timed_out(self) -> Sequence[Effect]:
        return self._dialogue.close(replies.bye(replies.TIMED_OUT))

    def eof(self) -> Sequence[Effect]:
        return ()

    def _go_on(self, effects: Effects) -> Effects:
        """Take what is buffered, up to a question or the end of the bytes."""
        dialogue = self._dialogue
        while dialogue.then is None and dialogue.phase is not Phase.CLOSED:
            more = _TAKE[dialogue.phase](dialogue)
            if more is None:
                break
            effects += more
        return effects


def _take_command(dialogue: Dialogue) -> Effects | None:
    event = dialogue.reader.next()
    match event:
        case Complete(parts):
            return _obey(dialogue, parts)
        case Announced():
            return append.announced(dialogue, event)
        case TooLong(parts):
            return dialogue.refuse_bad(split_tag(parts)[0], replies.LINE_TOO_LONG)
    return None


def _obey(dialogue: Dialogue, parts: tuple[bytes, ...]) -> Effects:
    if parts == (b"",):
        return []
    parsed = parse_command(parts, dialogue.commands)
    if isinstance(parsed, Bad):
        text = replies.NO_TAG if parsed.tag is None else replies.error_text(parsed.text)
        return dialogue.refuse_bad(parsed.tag, text)
    dialogue.tag, command, arguments = parsed
    if dialogue.state not in command.states:
        return dialogue.refuse_bad(dialogue.tag, replies.NOT_NOW)
    if command.step is not None:
        return command.step(dialogue, command, arguments)
    return dialogue.execute(command, arguments)


#: How each phase takes the next bytes; None: there are not enough yet.
_TAKE: dict[Phase, Callable[[Dialogue], Effects | None]] = {
    Phase.COMMAND: _take_command,
    Phase.MESSAGE: append.take_message,
    Phase.AFTER_MESSAGE: append.take_after_message,
    Phase.SASL: login.take_response,
    Phase.IDLE: idle.take_done,
}
