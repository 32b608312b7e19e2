"""STARTTLS (RFC 3207) and AUTH (RFC 4954) with the mechanisms of qmail.door.sasl, as steps of the dialogue. Pure."""

from __future__ import annotations

from qmail.door.sasl import MECHANISMS, Challenge, Credentials, Exchange, Fault, Step
from qmail.door.session import StartTls
from services.smtpd import replies
from services.smtpd.dialogue import Dialogue
from services.smtpd.facts import Login
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
        else:
            self._exchange = Exchange(mechanism.upper())
            self._follow_auth(self._exchange.begin(initial or None))

    def _refuse_auth(self, mechanism: bytes) -> bytes | None:
        if self.account:
            return replies.AUTH_ALREADY
        if not self.client.auth_offered:
            return replies.AUTH_NEEDS_TLS if self.client.tls_offered else replies.UNIMPLEMENTED
        return None if mechanism in MECHANISMS else replies.AUTH_MECHANISM

    def _no_auth_now(self, argument: bytes) -> None:
        self._bad(replies.AUTH_DURING_MAIL)

    def _read_auth(self, line: bytes) -> None:
        self._follow_auth(self._exchange.answer(line))

    def _follow_auth(self, step: Step) -> None:
        self._state = State.AUTH if isinstance(step, Challenge) else START
        if isinstance(step, Challenge):
            self._reply(replies.auth_challenge(step.text))
        elif isinstance(step, Credentials):
            self._log_in(step)
        else:
            self._bad(replies.AUTH_CANCELLED if step is Fault.CANCELLED else replies.AUTH_SYNTAX)

    def _log_in(self, given: Credentials) -> None:
        def answered(name: object) -> None:
            if isinstance(name, bytes) and name:
                self.account = name
                self.accomplished += 1
                self._received_head = None
                self._bad_commands = 0
                self._reply(replies.AUTH_OK)
            else:
                self._bad(replies.AUTH_FAILED)

        request = Login(given.mechanism, given.user, given.password)
        self._ask(request, answered, lambda _: self._reply(replies.AUTH_TEMPORARY))
