"""What the steps of the dialogue work with: the client, its mail transaction, replies, the one open question. Pure.

The table (services.smtpd.table) says which step answers a verb, and the state that follows. A step replies and asks at
most one question. Its ways to answer: `proceed` goes on to the state that follows, `reply` stays, `bad` stays and
counts, `reset` goes back to START, `end` closes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from qmail.bus.ports import BusDown, QueueFull, TemporaryError
from qmail.control.files import ControlError
from qmail.door.sasl import Exchange
from qmail.door.session import Ask, Close, Effect, Send
from qmail.message.envelope import Origin
from qmail.queue.put import EnvelopeTooLarge
from services.smtpd import replies
from services.smtpd.facts import Client, Hook, Hooked, Request
from services.smtpd.hooks import Hooks, Share
from services.smtpd.mail_transaction import MailTransaction
from services.smtpd.policy import Policy
from services.smtpd.refusals import Hit, Refusals, Tell
from services.smtpd.states import CLOSED, START, State

MAX_BAD_COMMANDS = 20

# wait(2)'s statuses of qmail-smtpd, as tcpserver logs them.
EXIT_QUIT = 0
EXIT_OTHER = 256

Known: TypeAlias = Callable[[object], object]
Then: TypeAlias = Callable[[object], None]
Otherwise: TypeAlias = Callable[[BaseException], None]

_CLOSE, _CLOSE_AS_ASKED = Close(), Close(asked=True)
_NO_WORD, _NO_ANSWER = Hooked(None, ()), Hooked(replies.LOCAL_ERROR, ())
# The first digit of a reply that refuses, 4 or 5.
_REFUSING = ord("4")
# The replies that stand alone most often, made once.
_ALONE = {text: (Send(text),) for text in (replies.OK, replies.GO_AHEAD, replies.MAIL_FIRST, replies.UNIMPLEMENTED)}

# What a rule of tcp.smtp may spare a client, RELAYCLIENT or DATABYTES.
_BY_RULE = frozenset({replies.NOT_IN_RCPTHOSTS, replies.TOO_BIG})

# qmail.c's texts, by what they mean here. The rest of its exit codes belong to a queue program that there is not.
_QMAIL_FAILURES: tuple[tuple[type[BaseException], bytes], ...] = (
    (EnvelopeTooLarge, replies.QQ_ENVELOPE_TOO_LONG),
    (QueueFull, replies.QQ_DISK_FULL),
    (BusDown, replies.QQ_TEMPORARY),
    (TemporaryError, replies.QQ_TEMPORARY),
    (MemoryError, replies.QQ_OUT_OF_MEMORY),
    (TimeoutError, replies.QQ_TIMEOUT),
    (ControlError, replies.QQ_CONFIGURATION),
    (ConnectionRefusedError, replies.QQ_REJECTED),
    (OSError, replies.QQ_FILES),
)


class Dialogue:
    """One client's dialogue, as far as it has come."""

    def __init__(
        self,
        policy: Policy,
        client: Client,
        origin: Origin,
        now: Callable[[], float],
        hooks: Hooks,
        known: Known,
        tell: Tell,
        hit: Hit,
    ) -> None:
        self.policy = policy
        self.client = client
        self.origin = origin
        self.now = now
        self.hooks = hooks.verbs
        self.share = Share(hooks)
        self.state = START
        #: Where `proceed` leads: the row's, set by whoever has the step carried out.
        self.next_state = START
        #: The client's bytes that are not yet obeyed.
        self.unread = b""
        #: The line that is being answered; in AUTH and DATA the one that began it.
        self.command = b""
        self.helo: bytes | None = None
        self.extended = False
        self.account = b""
        self.exchange: Exchange | None = None
        self.mail = MailTransaction()
        #: Who submits, with HELO and AUTH, and the Received line's beginning; None: to be made from what is known now.
        self.submitter: tuple[Origin, bytes] | None = None
        self.limit_bytes = policy.databytes if client.databytes is None else client.databytes
        #: How many messages were put, and log-ins.
        self.accomplished = 0
        #: What goes on with the answer to the open question; None: there is none.
        self.then: Then | None = None
        self.exit_status = EXIT_OTHER
        #: Whom to tell which entry of a control file refused an address.
        self.hit = hit
        self._known = known
        self._refusals = Refusals(tell)
        self._effects: list[Effect] = []
        self._replies: list[bytes] = []
        self._otherwise: Otherwise | None = None
        self._bad_commands = 0

    # --- answering ---

    def reply(self, text: bytes) -> None:
        """The state stays."""
        if text[0] >= _REFUSING:
            if self.client.doubtful and text in _BY_RULE:
                text = replies.NAME_IN_DOUBT
            self._refusals.add(self.command, text, self.mail.sender)
        self._replies.append(text)

    def proceed(self, text: bytes) -> None:
        """Reply, and go on to the state that the row names."""
        self.reply(text)
        self._enter(self.next_state)

    def advance(self) -> None:
        self._enter(self.next_state)

    def bad(self, text: bytes) -> None:
        """A command that was wrong in itself; too many of them in a row end the connection."""
        self._bad_commands += 1
        if self.policy.extensions and self._bad_commands >= MAX_BAD_COMMANDS:
            self.end(replies.BAD_COMMANDS)
        else:
            self.reply(text)

    def good(self) -> None:
        """The client knows how to speak."""
        self._bad_commands = 0

    def end(self, text: bytes, exit_status: int = EXIT_OTHER) -> None:
        self.reply(text)
        self.emit(_CLOSE_AS_ASKED if exit_status == EXIT_QUIT else _CLOSE)
        self.exit_status = exit_status
        self._enter(CLOSED)

    def reset(self) -> None:
        """The mail transaction is forgotten (RFC 5321 4.1.1.5)."""
        self._enter(START)

    def _enter(self, state: State) -> None:
        """In START there is no mail transaction, and the memory of a body that a plug-in wanted is free."""
        if state is START and self.state is not START:
            self.mail = MailTransaction()
            if self.share.held_bytes:
                self.share.hold(0)
        self.state = state

    def emit(self, effect: Effect) -> None:
        """After the replies so far."""
        if self._replies:
            self._effects.append(Send(b"".join(self._replies)))
            self._replies = []
        self._effects.append(effect)

    def flush(self) -> Sequence[Effect]:
        """All that is to be done, once."""
        texts = self._replies
        if not self._effects:
            if not texts:
                return ()
            self._replies = []
            return _ALONE.get(texts[0]) or (Send(texts[0]),) if len(texts) == 1 else (Send(b"".join(texts)),)
        effects, self._effects = self._effects, []
        if texts:
            self._replies = []
            effects.append(Send(b"".join(texts)))
        return effects

    def failure(self, error: BaseException) -> bytes:
        """The reply to what the queue raised. Whatever is unforeseen may pass: the client keeps the message."""
        if not self.policy.extensions:
            return next((text for kind, text in _QMAIL_FAILURES if isinstance(error, kind)), replies.QQ_BUG)
        if isinstance(error, QueueFull):
            return replies.QUEUE_FULL
        if isinstance(error, EnvelopeTooLarge):
            return replies.ENVELOPE_TOO_LARGE
        return replies.BUS_DOWN if isinstance(error, TemporaryError) else replies.LOCAL_ERROR

    # --- the question ---

    def ask(self, request: Request, then: Then, otherwise: Otherwise) -> None:
        """Have a question answered and go on with `then`, at once where the answer is known already."""
        answer = self._known(request)
        if answer is None:
            self.emit(Ask(request))
            self.then = then
            self._otherwise = otherwise
        else:
            then(answer)

    def answered(self, answer: object) -> None:
        then, self.then, self._otherwise = self.then, None, None
        if then is not None:
            then(answer)

    def failed(self, error: BaseException) -> None:
        otherwise, self.then, self._otherwise = self._otherwise, None, None
        if otherwise is not None:
            otherwise(error)

    def ask_plugin(
        self, verb: str, argument: bytes, then: Callable[[Hooked], None], options: Iterable[bytes] = ()
    ) -> None:
        """A plug-in's word, where there is one that wants to be asked."""
        if verb not in self.hooks:
            then(_NO_WORD)
            return

        def answered(answer: object) -> None:
            assert isinstance(answer, Hooked)
            then(answer)

        recipients = tuple(recipient.address.raw for recipient in self.mail.recipients)
        hook = Hook(verb, argument, tuple(options), self.mail.sender.raw, recipients)
        self.ask(hook, answered, lambda _: then(_NO_ANSWER))

    # --- who the client is ---

    def met(self, client: Client, origin: Origin) -> None:
        """Who the client is has been found out."""
        self.client, self.origin = client, origin
        self.limit_bytes = self.policy.databytes if client.databytes is None else client.databytes

    def greeted(self, helo: bytes, *, extended: bool) -> None:
        self.helo = helo
        self.extended = extended
        self.submitter = None
        self.good()

    def logged_in(self, account: bytes) -> None:
        self.account = account
        self.accomplished += 1
        self.submitter = None
        self.good()

    def tls_started(self) -> None:
        """RFC 3207 4.2: all that was learnt in plain text is forgotten, buffered commands first of all."""
        self.unread = b""
        self.helo = None
        self.submitter = None
        self.extended = False
        self.account = b""
        self.client = replace(self.client, tls=True, tls_offered=False, auth_offered=True)
        self.reset()
