"""STARTTLS (RFC 3207) and AUTH (RFC 4954; PLAIN, RFC 4616, and LOGIN), as steps of the dialogue. Pure."""

from __future__ import annotations

from qmail.door.session import StartTls
from services.smtpd import replies
from services.smtpd.dialogue import Dialogue
from services.smtpd.facts import Login
from services.smtpd.grammar import parse_base64, parse_plain
from services.smtpd.states import START, State


class LoginSteps(Dialogue):
    """Who the client is, and whether anybody listens in."""

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
        state, self._state = self._state, START
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
                self._received_head = None
                self._bad_commands = 0
                self._reply(replies.AUTH_OK)
            else:
                self._bad(replies.AUTH_FAILED)

        self._ask(Login(mechanism, user, password), answered, lambda _: self._reply(replies.AUTH_TEMPORARY))
