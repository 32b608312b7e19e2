"""SMTP's session (qmail.door.session): the client's bytes to lines, each line to the table's row. Pure.

While a question is open nothing more is read: what the client pipelines waits. A step (services.smtpd.greeting, login,
envelope, text, table) works with the Dialogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from qmail.door.limits import BEFORE_LOGIN, Patience
from qmail.door.session import Effect, Peer, TurnedAway
from qmail.message.envelope import Origin
from qmail.message.remote_host import NO_HOST, RemoteHost
from services.smtpd import replies
from services.smtpd.dialogue import Dialogue, Known
from services.smtpd.facts import Client, LookUpHost
from services.smtpd.grammar import MAX_AUTH_BYTES, MAX_COMMAND_BYTES, parse_command
from services.smtpd.hooks import Hooks
from services.smtpd.policy import Policy
from services.smtpd.refusals import MAX_SHOWN_BYTES, Hit, Tell
from services.smtpd.states import AUTH, CLOSED, DATA, START
from services.smtpd.table import INPUT, QMAIL_TABLE, TABLE, TOO_LONG, UNKNOWN, Row

NameFirst: TypeAlias = Callable[[RemoteHost], tuple[Client, Origin]]

# No limit needs looking up for lines up to this.
SHORT_LINE_BYTES = 512
# qmail reads commands of any length; its exact answers are kept up to this.
MAX_QMAIL_COMMAND_BYTES = 65_536

# timeoutsmtpd bounds each read, as in qmail. Whoever puts no message has his place for an hour, and for the time that
# what he sends takes at Postfix's smtpd_min_data_rate, up to a day.
PATIENCE = Patience(seconds=3600.0, bytes_per_second=500)


class SmtpSession:
    """One client's session. After an Ask call `answered` or `failed`; nothing else comes out before."""

    def __init__(
        self,
        policy: Policy,
        client: Client,
        origin: Origin,
        now: Callable[[], float],
        hooks: Hooks | None = None,
        known: Known = lambda _request: None,
        tell: Tell = lambda _kind, _what, _why: None,
        name_first: NameFirst | None = None,
        hit: Hit = lambda _file, _entry: None,
    ) -> None:
        """`origin` is who submits, as far as it is known before HELO and AUTH; `now` gives the time since the epoch;
        `known` gives the answer to a request that needs no asking, else None; `tell` hears of each reply that refuses:
        its kind, what was refused, the reply; `name_first`, where the client's name must be known before it is greeted:
        who it is then, or TurnedAway; `hit` hears which entry of which control file refused an address."""
        self.dialogue = Dialogue(policy, client, origin, now, hooks or Hooks(), known, tell, hit)
        self._policy = policy
        self._exact = not policy.extensions
        self._table = QMAIL_TABLE if self._exact else TABLE
        self._skipping = False
        self._name_first = name_first

    # --- what the server asks ---

    @property
    def timeout_seconds(self) -> float:
        return self._policy.timeout_seconds

    @property
    def patience(self) -> Patience:
        """Whoever shall log in and has not is no better than at the doors for reading mail."""
        dialogue = self.dialogue
        return BEFORE_LOGIN if dialogue.client.auth_required and not dialogue.account else PATIENCE

    @property
    def accomplished(self) -> int:
        return self.dialogue.accomplished

    # --- what the server tells ---

    def connected(self, _peer: Peer | None = None) -> Sequence[Effect]:
        """Who is connected is known already, by the rules: `client`; or will be, when its name is."""
        if self._name_first is None:
            self._greet()
        else:
            self.dialogue.ask(LookUpHost(), self._named, lambda _: self._named(NO_HOST))
        return self.dialogue.flush()

    def _named(self, host: object) -> None:
        assert self._name_first is not None and isinstance(host, RemoteHost)
        try:
            self.dialogue.met(*self._name_first(host))
        except TurnedAway as away:
            self.dialogue.end(away.text)
        else:
            self._greet()

    def _greet(self) -> None:
        self.dialogue.reply(replies.greeting(self._policy.greeting))

    def received(self, data: bytes) -> Sequence[Effect]:
        """Any cut of the client's bytes."""
        dialogue = self.dialogue
        dialogue.unread = dialogue.unread + data if dialogue.unread else data
        return self._run()

    def answered(self, answer: object) -> Sequence[Effect]:
        self.dialogue.answered(answer)
        return self._run()

    def failed(self, error: BaseException) -> Sequence[Effect]:
        self.dialogue.failed(error)
        return self._run()

    def tls_started(self) -> Sequence[Effect]:
        self.dialogue.tls_started()
        return ()

    def notified(self, _event: object) -> Sequence[Effect]:
        """The server ends (there is no other event): good-bye as soon as no transaction is begun; () until then."""
        dialogue = self.dialogue
        if dialogue.state is not START or dialogue.then is not None or dialogue.unread:
            return ()
        dialogue.end(replies.STOPPING)
        return dialogue.flush()

    def eof(self) -> Sequence[Effect]:
        """An unfinished message is dropped."""
        return ()

    def timed_out(self) -> Sequence[Effect]:
        if self.dialogue.state is not CLOSED:
            self.dialogue.end(replies.TIMEOUT)
        return self.dialogue.flush()

    # --- reading ---

    def _run(self) -> Sequence[Effect]:
        """Obey what is unread, as far as no question is open."""
        dialogue = self.dialogue
        while dialogue.unread and dialogue.then is None:
            rows = self._table[dialogue.state]
            if dialogue.state is DATA:
                text, dialogue.unread = dialogue.unread, b""
                step, dialogue.next_state = rows[INPUT]
                step(dialogue, text)
            elif not rows:
                dialogue.unread = b""
            elif not self._read_line(rows):
                break
        return dialogue.flush()

    def _read_line(self, rows: Mapping[bytes, Row]) -> bool:
        """Obey one line. False: there is none yet."""
        dialogue = self.dialogue
        unread = dialogue.unread
        end = unread.find(b"\n")
        if (end < 0 and len(unread) > SHORT_LINE_BYTES) or end > SHORT_LINE_BYTES or self._skipping:
            limit = self._max_line_bytes
            if self._skipping or end > limit or (end < 0 and len(unread) > limit):
                self._skip_long_line(end, rows)
                return True
        if end < 0:
            return False
        argument, dialogue.unread = unread[:end], unread[end + 1 :]
        if dialogue.state is AUTH:
            verb = INPUT
        else:
            dialogue.command = argument
            verb, argument = parse_command(argument, exact=self._exact)
        step, dialogue.next_state = rows.get(verb, UNKNOWN)
        step(dialogue, argument)
        return True

    @property
    def _max_line_bytes(self) -> int:
        if self._exact:
            return MAX_QMAIL_COMMAND_BYTES
        if self.dialogue.state is AUTH or self.dialogue.unread[:4].lower() == b"auth":
            return MAX_AUTH_BYTES
        return MAX_COMMAND_BYTES

    def _skip_long_line(self, end: int, rows: Mapping[bytes, Row]) -> None:
        """Forget what there is of a line that is too long; answer when its end has come."""
        dialogue = self.dialogue
        unread = dialogue.unread
        if not self._skipping and dialogue.state is not AUTH:
            dialogue.command = unread[:MAX_SHOWN_BYTES]
        self._skipping = end < 0
        dialogue.unread = b"" if end < 0 else unread[end + 1 :]
        if end >= 0:
            step, dialogue.next_state = rows[TOO_LONG]
            step(dialogue, b"")
