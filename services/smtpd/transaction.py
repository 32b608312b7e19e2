"""The SMTP dialogue, bytes in, effects out (RFC 5321; qmail-smtpd(8)). Pure: no socket, no clock but the one
given, no `await`.

One table says which verb does what in which state; a step appends replies and asks at most one question. While a
question is
open nothing more is read: what the client pipelines waits in the buffer. `control/extensions` = none takes the
verbs and answers of qmail 1.03; else those of ours are added, and qmail's texts stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import ClassVar, TypeAlias

from qmail.bus.ports import BusDown, QueueFull, TemporaryError
from qmail.control import ControlError
from qmail.dates import date822
from qmail.put import EnvelopeTooLarge
from qmail.session import Ask, Close, Effect, Send, StartTls
from services.smtpd import replies
from services.smtpd.data import MAX_HOPS, DataReader, Verdict
from services.smtpd.facts import (
    AskRecipient,
    Client,
    Commit,
    Drop,
    Exists,
    Hook,
    Hooked,
    Login,
    Mail,
    Ready,
    Store,
)
from services.smtpd.grammar import (
    MAX_ADDRESS_BYTES,
    MAX_AUTH_BYTES,
    MAX_COMMAND_BYTES,
    parse_base64,
    parse_command,
    parse_parameters,
    parse_path,
    parse_plain,
    replace_address_literal,
)
from services.smtpd.policy import Policy
from services.smtpd.received import protocol_name, render_received

# No limit needs looking up for lines up to this.
SHORT_LINE_BYTES = 512
# qmail reads commands of any length; its exact answers are kept up to this.
MAX_QMAIL_COMMAND_BYTES = 65_536
MAX_BAD_COMMANDS = 20
# Beyond this a message is no longer gathered but handed on in parts.
GATHER_BYTES = 512 * 1024
PART_BYTES = 128 * 1024
# All addresses of an envelope, as the bus writes them: its records end at 1 MB.
MAX_ENVELOPE_BYTES = 700_000

# wait(2)'s statuses of qmail-smtpd, as tcpserver logs them.
EXIT_QUIT = 0
EXIT_OTHER = 256

Step: TypeAlias = Callable[["Transaction", bytes], None]
Then: TypeAlias = Callable[[object], None]


class State(Enum):
    """Where the dialogue is: MAIL and RCPT mean that these were accepted."""

    START = "start"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    AUTH_PLAIN = "auth plain"
    AUTH_USER = "auth user"
    AUTH_PASSWORD = "auth password"
    CLOSED = "closed"


# Before Python 3.12 every `State.X` is a call; the hot path has them as plain names.
_START, _MAIL, _RCPT, _DATA, _CLOSED = State.START, State.MAIL, State.RCPT, State.DATA, State.CLOSED
_MORE, _END_OF_DATA = Verdict.MORE, Verdict.END
_EXISTS_NO, _OVER_QUOTA = Exists.NO, Exists.QUOTA
_COMMAND_STATES = (_START, _MAIL, _RCPT)
_READY = Ask(Ready())
_CLOSE = Close()
# The replies that stand alone most often, made once.
_ALONE = {text: (Send(text),) for text in (replies.OK, replies.GO_AHEAD, replies.MAIL_FIRST, replies.UNIMPLEMENTED)}


class Transaction:
    """One client's dialogue. After an Ask call `answered` or `failed`; nothing else comes out before."""

    TABLE: ClassVar[Mapping[State, Mapping[bytes, Step]]]
    QMAIL_TABLE: ClassVar[Mapping[State, Mapping[bytes, Step]]]

    def __init__(
        self,
        policy: Policy,
        client: Client,
        now: Callable[[], float],
        hooks: frozenset[str] = frozenset(),
    ) -> None:
        self.policy = policy
        self.client = client
        self.exit_status = EXIT_OTHER
        self.account = b""
        self._now = now
        self._hooks = hooks
        self._table = self.TABLE if policy.extensions else self.QMAIL_TABLE
        self._state = _START
        self._buffer = b""
        self._skipping = False
        self._effects: list[Effect] = []
        self._replies: list[bytes] = []
        self._then: Then | None = None
        self._otherwise: Callable[[BaseException], None] | None = None
        self._bad_commands = 0
        self._helo: bytes | None = None
        self._extended = False
        self._user = b""
        self._limit = policy.databytes if client.databytes is None else client.databytes
        self._forget_mail()

    # --- what the server calls ---

    @property
    def timeout_seconds(self) -> float:
        return self.policy.timeout_seconds

    @property
    def state(self) -> State:
        return self._state

    @property
    def waiting(self) -> bool:
        """Whether a question is open."""
        return self._then is not None

    def connected(self) -> Sequence[Effect]:
        self._reply(replies.greeting(self.policy.greeting))
        return self._flush()

    def received(self, data: bytes) -> Sequence[Effect]:
        """Any cut of the client's bytes."""
        self._buffer = self._buffer + data if self._buffer else data
        return self._run()

    def answered(self, answer: object) -> Sequence[Effect]:
        then, self._then, self._otherwise = self._then, None, None
        if then is not None:
            then(answer)
        return self._run()

    def failed(self, error: BaseException) -> Sequence[Effect]:
        otherwise, self._then, self._otherwise = self._otherwise, None, None
        if otherwise is not None:
            otherwise(error)
        return self._run()

    def tls_started(self) -> Sequence[Effect]:
        """RFC 3207 4.2: all that was learnt in plain text is forgotten, buffered commands first of all."""
        self._buffer = b""
        self._helo = None
        self._extended = False
        self.account = b""
        self.client = replace(self.client, tls=True, tls_offered=False, auth_offered=True)
        self._forget_mail()
        return ()

    def stopping(self) -> Sequence[Effect]:
        """The server ends: good-bye as soon as no transaction is begun; () until then."""
        if self._state is not _START or self.waiting or self._buffer:
            return ()
        self._end(replies.STOPPING)
        return self._flush()

    def timed_out(self) -> Sequence[Effect]:
        if self._state is not _CLOSED:
            self._end(replies.TIMEOUT)
        return self._flush()

    # --- reading ---

    def _run(self) -> Sequence[Effect]:
        """Obey what is buffered, as far as no question is open."""
        while self._buffer and self._then is None:
            state = self._state
            if state is _DATA:
                self._read_data()
            elif state is _CLOSED:
                self._buffer = b""
            elif not self._read_line(state):
                break
        return self._flush()

    def _flush(self) -> Sequence[Effect]:
        texts = self._replies
        if not self._effects:
            if not texts:
                return ()
            self._replies = []
            return _ALONE.get(texts[0]) or (Send(texts[0]),) if len(texts) == 1 else (Send(b"".join(texts)),)
        effects, self._effects = self._effects, []
        if texts:
            self._replies = []
            effects.insert(0, Send(b"".join(texts)))
        return effects

    def _read_line(self, state: State) -> bool:
        """Obey one line of the buffer. False: there is none yet."""
        buffer = self._buffer
        end = buffer.find(b"\n")
        if (end < 0 and len(buffer) > SHORT_LINE_BYTES) or end > SHORT_LINE_BYTES or self._skipping:
            limit = self._max_line_bytes
            if self._skipping or end > limit or (end < 0 and len(buffer) > limit):
                self._skip_long_line(end)
                return True
        if end < 0:
            return False
        self._buffer = buffer[end + 1 :]
        steps = self._table.get(state)
        if steps is None:
            self._read_auth(buffer[:end])
        else:
            verb, argument = parse_command(buffer[:end])
            steps.get(verb, Transaction._unimplemented)(self, argument)
        return True

    @property
    def _max_line_bytes(self) -> int:
        if not self.policy.extensions:
            return MAX_QMAIL_COMMAND_BYTES
        if self._state in _COMMAND_STATES and self._buffer[:4].lower() != b"auth":
            return MAX_COMMAND_BYTES
        return MAX_AUTH_BYTES

    def _skip_long_line(self, end: int) -> None:
        """Forget what there is of a line that is too long; answer when its end has come."""
        self._skipping = end < 0
        self._buffer = b"" if end < 0 else self._buffer[end + 1 :]
        if end >= 0:
            if self._state not in _COMMAND_STATES:
                self._state = _START
            self._bad(replies.LINE_TOO_LONG)

    # --- answering ---

    def _reply(self, text: bytes) -> None:
        self._replies.append(text)

    def _bad(self, text: bytes) -> None:
        """A command that was wrong in itself; too many of them in a row end the connection."""
        self._bad_commands += 1
        if self.policy.extensions and self._bad_commands >= MAX_BAD_COMMANDS:
            self._end(replies.BAD_COMMANDS)
        else:
            self._reply(text)

    def _end(self, text: bytes, exit_status: int = EXIT_OTHER) -> None:
        self._reply(text)
        self._flush_into_effects()
        self._effects.append(_CLOSE)
        self._state = _CLOSED
        self.exit_status = exit_status

    def _flush_into_effects(self) -> None:
        self._effects.append(Send(b"".join(self._replies)))
        self._replies = []

    def _ask(self, request: Ask, then: Then, otherwise: Callable[[BaseException], None]) -> None:
        self._effects.append(request)
        self._then = then
        self._otherwise = otherwise

    def _forget_mail(self) -> None:
        self._sender = b""
        self._bad_sender = False
        self._recipients: list[bytes] = []
        self._envelope_bytes = 0
        self._body_type = "7BIT"
        self._smtputf8 = False
        self._reader: DataReader | None = None
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._streaming = False
        self._late_refusal: bytes | None = None
        if self._state is not _CLOSED:
            self._state = _START

    # --- the verbs of qmail-smtpd ---

    def _unimplemented(self, argument: bytes) -> None:
        self._bad(replies.UNIMPLEMENTED)

    def _mail_first(self, argument: bytes) -> None:
        self._bad(replies.MAIL_FIRST)

    def _rcpt_first(self, argument: bytes) -> None:
        self._bad(replies.RCPT_FIRST)

    def _noop(self, argument: bytes) -> None:
        self._reply(replies.OK)

    def _help(self, argument: bytes) -> None:
        self._reply(replies.HELP)

    def _vrfy(self, argument: bytes) -> None:
        self._reply(replies.VRFY)

    def _rset(self, argument: bytes) -> None:
        self._forget_mail()
        self._reply(replies.FLUSHED)

    def _quit(self, argument: bytes) -> None:
        self._end(replies.quit(self.policy.greeting), EXIT_QUIT)

    def _helo_verb(self, argument: bytes) -> None:
        self._greeted("HELO", argument, replies.helo(self.policy.greeting))

    def _ehlo_verb(self, argument: bytes) -> None:
        self._greeted("EHLO", argument, replies.ehlo(self.policy.greeting, self._keywords()))

    def _greeted(self, name: str, argument: bytes, text: bytes) -> None:
        self._forget_mail()
        self._helo = argument
        self._extended = name == "EHLO"
        self._bad_commands = 0

        def decided(hooked: Hooked) -> None:
            self._reply(text if hooked.status is None else hooked.status)

        self._hooked(name, argument, (), decided)

    def _keywords(self) -> list[bytes]:
        """RFC 5321 4.1.1.1. qmail 1.03 has the first two."""
        if not self.policy.extensions:
            return [b"PIPELINING", b"8BITMIME"]
        keywords = [b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"SIZE %d" % self._limit]
        if self.client.tls_offered:
            keywords.append(b"STARTTLS")
        if self.client.auth_offered:
            keywords.append(b"AUTH PLAIN LOGIN")
        return [*keywords, b"HELP"]

    def _mail(self, argument: bytes) -> None:
        address, rest = parse_path(argument)
        address = replace_address_literal(address, self.policy.local_ips, self.policy.local_ip_host)
        if len(address) > MAX_ADDRESS_BYTES:
            self._bad(replies.SYNTAX)
            return
        parameters: dict[bytes, bytes] = {}
        if self.policy.extensions:
            if self.client.auth_required and not self.account:
                self._bad(
                    replies.TLS_FIRST
                    if self.client.tls_offered and not self.client.auth_offered
                    else replies.AUTH_FIRST
                )
                return
            parameters = parse_parameters(rest) if rest else parameters
            refusal = self._refuse_parameters(parameters)
            if refusal is not None:
                self._bad(refusal)
                return
        self._bad_commands = 0

        def begin(hooked: Hooked) -> None:
            if _refused(hooked):
                self._reply(hooked.status or replies.LOCAL_ERROR)
                return
            self._begin_mail(
                hooked.addresses[0] if hooked.addresses else address, parameters, hooked.status or replies.OK
            )

        if self._hooks:
            self._hooked("MAIL", address, tuple(rest.split()), begin)
        else:
            self._begin_mail(address, parameters, replies.OK)

    def _refuse_parameters(self, parameters: Mapping[bytes, bytes]) -> bytes | None:
        """RFC 1870 6.1, RFC 6152 2. Parameters that nobody announced are ignored, as qmail ignores all."""
        size = parameters.get(b"SIZE")
        if size is not None:
            if not size.isdigit() or len(size) > 20:
                return replies.BAD_SIZE
            if 0 < self._limit < int(size):
                return replies.TOO_BIG
        if parameters.get(b"BODY", b"7BIT").upper() not in (b"7BIT", b"8BITMIME"):
            return replies.BAD_BODY
        return None

    def _begin_mail(self, address: bytes, parameters: Mapping[bytes, bytes], text: bytes) -> None:
        def begin(_: object) -> None:
            if self._state is not _START:
                self._forget_mail()
            self._sender = address
            self._bad_sender = self.policy.is_bad_sender(address)
            if parameters:
                self._body_type = parameters.get(b"BODY", b"7BIT").upper().decode()
                self._smtputf8 = b"SMTPUTF8" in parameters
            self._state = _MAIL
            self._reply(text)

        if self.policy.extensions:
            self._ask(_READY, begin, self._not_ready)
        else:
            begin(None)

    def _not_ready(self, error: BaseException) -> None:
        self._forget_mail()
        self._reply(self._failure(error))

    def _rcpt(self, argument: bytes) -> None:
        address, rest = parse_path(argument)
        address = replace_address_literal(address, self.policy.local_ips, self.policy.local_ip_host)
        if len(address) > MAX_ADDRESS_BYTES:
            self._bad(replies.SYNTAX)
            return
        self._bad_commands = 0
        refusal = self._refuse_recipient(address)
        if refusal is not None:
            self._reply(refusal)
            return
        if self.client.relay:
            address += self.client.relay
        if self._hooks:
            self._hooked("RCPT", address, tuple(rest.split()), lambda hooked: self._hooked_recipient(address, hooked))
        else:
            self._look_up(address, replies.OK)

    def _refuse_recipient(self, address: bytes) -> bytes | None:
        if self._bad_sender:
            return replies.BAD_MAIL_FROM
        if self.client.relay is None and not self.account and not self.policy.is_in_rcpthosts(address):
            return replies.NOT_IN_RCPTHOSTS
        if not self.policy.extensions:
            return None
        self._envelope_bytes += 12 + len(address) * (1 if address.isascii() else 6)
        if len(self._recipients) >= self.policy.max_recipients or self._envelope_bytes > MAX_ENVELOPE_BYTES:
            return replies.TOO_MANY_RECIPIENTS
        return None

    def _hooked_recipient(self, address: bytes, hooked: Hooked) -> None:
        if _refused(hooked):
            self._reply(hooked.status or replies.LOCAL_ERROR)
        elif hooked.status is None:
            self._look_up(address, replies.OK)
        else:
            # A plug-in that accepted has answered for whether the mailbox exists, as with aiosmtpd.
            self._recipients.extend(hooked.addresses or (address,))
            self._state = _RCPT
            self._reply(hooked.status)

    def _look_up(self, address: bytes, text: bytes) -> None:
        def known(answer: object) -> None:
            if answer is _EXISTS_NO:
                self._reply(replies.NO_MAILBOX)
            elif answer is _OVER_QUOTA:
                self._reply(replies.OVER_QUOTA)
            else:
                self._recipients.append(address)
                self._state = _RCPT
                self._reply(text)

        if self.policy.extensions and self.policy.is_local(address):
            # No answer is no reason to refuse mail: whether the mailbox exists is found out at delivery then.
            self._ask(Ask(AskRecipient(address)), known, known)
        else:
            known(Exists.UNKNOWN)

    # --- DATA ---

    def _data(self, argument: bytes) -> None:
        self._reader = DataReader(self._limit)
        self._bad_commands = 0
        self._state = _DATA
        self._reply(replies.GO_AHEAD)

    def _read_data(self) -> None:
        reader = self._reader
        assert reader is not None
        data, self._buffer = self._buffer, b""
        verdict, text = reader.take(data)
        if text:
            self._parts.append(text)
            self._parts_bytes += len(text)
        if verdict is _MORE:
            self._hand_on(reader)
        elif verdict is _END_OF_DATA:
            self._buffer = reader.rest
            self._complete(reader)
        else:
            self._end(replies.STRAY_NEWLINE)

    def _hand_on(self, reader: DataReader) -> None:
        """Large messages leave in parts. A message already refused is only read to its end."""
        if reader.too_big or self._late_refusal is not None:
            self._parts.clear()
            self._parts_bytes = 0
            if self._streaming:
                self._streaming = False
                self._ask(Ask(Drop()), _nothing, _nothing)
            return
        if "DATA" in self._hooks or self._parts_bytes <= (PART_BYTES if self._streaming else GATHER_BYTES):
            return
        self._streaming = True
        self._ask(Ask(Store(self._take_parts())), _nothing, self._not_stored)

    def _take_parts(self) -> bytes:
        text = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._parts_bytes = 0
        return text

    def _not_stored(self, error: BaseException) -> None:
        """Whoever cannot keep a part cannot keep the message. The client hears it at its end mark, as it expects."""
        self._streaming = False
        self._late_refusal = self._failure(error)

    def _complete(self, reader: DataReader) -> None:
        refusal = self._late_refusal
        if reader.hops >= MAX_HOPS:
            refusal = replies.TOO_MANY_HOPS
        elif reader.too_big:
            refusal = replies.TOO_BIG
        if refusal is None:
            self._commit()
        elif self._streaming:
            self._drop(refusal)
        else:
            self._finish_mail(refusal)

    def _drop(self, text: bytes) -> None:
        self._ask(Ask(Drop()), lambda _: self._finish_mail(text), lambda _: self._finish_mail(text))

    def _commit(self) -> None:
        body = self._take_parts()
        if "DATA" not in self._hooks:
            self._put(body)
            return

        def decided(hooked: Hooked) -> None:
            if _refused(hooked):
                self._finish_mail(hooked.status or replies.LOCAL_ERROR)
            else:
                self._put(body)

        self._hooked("DATA", body, (), decided)

    def _put(self, body: bytes) -> None:
        self._ask(Ask(Commit(self._make_mail(), body)), self._stored, self._not_committed)

    def _make_mail(self) -> Mail:
        protocol = protocol_name(
            extended=self.policy.extensions and self._extended, tls=self.client.tls, authenticated=bool(self.account)
        )
        fake = self._helo is not None and self._helo.lower() != self.client.remote_host.lower()
        return Mail(
            sender=self._sender,
            recipients=tuple(self._recipients),
            helo=self._helo or b"",
            account=self.account,
            prefix=render_received(self.client, self._helo if fake else None, protocol, date822(self._now())),
            body_type=self._body_type,
            smtputf8=self._smtputf8,
        )

    def _stored(self, id: object) -> None:
        assert isinstance(id, int)
        self._finish_mail(replies.accepted(int(self._now()), id))

    def _not_committed(self, error: BaseException) -> None:
        self._finish_mail(self._failure(error))

    def _finish_mail(self, text: bytes) -> None:
        self._forget_mail()
        self._reply(text)

    def _failure(self, error: BaseException) -> bytes:
        """Whatever is unforeseen may pass: the client keeps the message."""
        if not self.policy.extensions:
            return next((text for kind, text in _QMAIL_FAILURES if isinstance(error, kind)), replies.QQ_BUG)
        if isinstance(error, QueueFull):
            return replies.QUEUE_FULL
        if isinstance(error, EnvelopeTooLarge):
            return replies.ENVELOPE_TOO_LARGE
        return replies.BUS_DOWN if isinstance(error, TemporaryError) else replies.LOCAL_ERROR

    # --- plug-ins ---

    def _hooked(self, name: str, address: bytes, options: tuple[bytes, ...], then: Callable[[Hooked], None]) -> None:
        if name not in self._hooks:
            then(Hooked(None, ()))
            return

        def answered(answer: object) -> None:
            assert isinstance(answer, Hooked)
            then(answer)

        self._ask(Ask(Hook(name, address, options)), answered, lambda _: then(Hooked(replies.LOCAL_ERROR, ())))

    # --- STARTTLS and AUTH ---

    def _starttls(self, argument: bytes) -> None:
        if self.client.tls:
            self._bad(replies.TLS_ALREADY)
        elif not self.client.tls_offered:
            self._bad(replies.TLS_UNAVAILABLE)
        elif argument:
            self._bad(replies.TLS_NO_ARGUMENT)
        else:
            self._reply(replies.TLS_READY)
            self._flush_into_effects()
            self._effects.append(StartTls())
            self._buffer = b""

    def _auth(self, argument: bytes) -> None:
        mechanism, _, initial = argument.partition(b" ")
        refusal = self._refuse_auth(mechanism.upper())
        if refusal is not None:
            self._bad(refusal)
        elif mechanism.upper() == b"PLAIN":
            self._begin_auth(State.AUTH_PLAIN, initial, replies.AUTH_EMPTY)
        else:
            self._begin_auth(State.AUTH_USER, initial, replies.AUTH_USER)

    def _begin_auth(self, state: State, initial: bytes, prompt: bytes) -> None:
        self._state = state
        if initial:
            self._read_auth(initial)
        else:
            self._reply(prompt)

    def _refuse_auth(self, mechanism: bytes) -> bytes | None:
        if self.account:
            return replies.AUTH_ALREADY
        if not self.client.auth_offered:
            return replies.AUTH_NEEDS_TLS if self.client.tls_offered else replies.UNIMPLEMENTED
        return None if mechanism in (b"PLAIN", b"LOGIN") else replies.AUTH_MECHANISM

    def _no_auth_now(self, argument: bytes) -> None:
        self._bad(replies.AUTH_DURING_MAIL)

    def _read_auth(self, line: bytes) -> None:
        state, self._state = self._state, _START
        text = line.rstrip(b"\r ")
        if text == b"*":
            self._bad(replies.AUTH_CANCELLED)
            return
        decoded = parse_base64(text)
        if decoded is None:
            self._bad(replies.AUTH_SYNTAX)
        elif state is State.AUTH_USER:
            self._user = decoded
            self._state = State.AUTH_PASSWORD
            self._reply(replies.AUTH_PASSWORD)
        elif state is State.AUTH_PASSWORD:
            self._log_in("LOGIN", self._user, decoded)
        else:
            pair = parse_plain(decoded)
            if pair is None:
                self._bad(replies.AUTH_SYNTAX)
            else:
                self._log_in("PLAIN", *pair)

    def _log_in(self, mechanism: str, user: bytes, password: bytes) -> None:
        def answered(name: object) -> None:
            if isinstance(name, bytes) and name:
                self.account = name
                self._bad_commands = 0
                self._reply(replies.AUTH_OK)
            else:
                self._bad(replies.AUTH_FAILED)

        self._ask(Ask(Login(mechanism, user, password)), answered, lambda _: self._reply(replies.AUTH_TEMPORARY))


def _nothing(_: object) -> None:
    return None


def _refused(hooked: Hooked) -> bool:
    return hooked.status is not None and hooked.status[:1] not in (b"2", b"3")


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

_ANYTIME: dict[bytes, Step] = {
    b"helo": Transaction._helo_verb,
    b"ehlo": Transaction._ehlo_verb,
    b"mail": Transaction._mail,
    b"rset": Transaction._rset,
    b"noop": Transaction._noop,
    b"help": Transaction._help,
    b"vrfy": Transaction._vrfy,
    b"quit": Transaction._quit,
}
_EXTENSIONS: dict[bytes, Step] = {b"starttls": Transaction._starttls, b"auth": Transaction._no_auth_now}

Transaction.QMAIL_TABLE = {
    State.START: {**_ANYTIME, b"rcpt": Transaction._mail_first, b"data": Transaction._mail_first},
    State.MAIL: {**_ANYTIME, b"rcpt": Transaction._rcpt, b"data": Transaction._rcpt_first},
    State.RCPT: {**_ANYTIME, b"rcpt": Transaction._rcpt, b"data": Transaction._data},
}
Transaction.TABLE = {
    State.START: {**Transaction.QMAIL_TABLE[State.START], **_EXTENSIONS, b"auth": Transaction._auth},
    State.MAIL: {**Transaction.QMAIL_TABLE[State.MAIL], **_EXTENSIONS},
    State.RCPT: {**Transaction.QMAIL_TABLE[State.RCPT], **_EXTENSIONS},
}
