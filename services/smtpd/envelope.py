"""MAIL and RCPT, as steps of the dialogue (RFC 5321 4.1.1.2, 4.1.1.3; qmail-smtpd(8)). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from qmail.queue.put import MAX_RECIPIENTS_BYTES, recipient_bytes
from services.smtpd import replies
from services.smtpd.facts import AskRecipient, Exists, Hooked, Ready
from services.smtpd.grammar import (
    MAX_ADDRESS_BYTES,
    has_unknown,
    is_mailbox,
    is_null_path,
    parse_parameters,
    parse_path,
    replace_address_literal,
)
from services.smtpd.login import LoginSteps
from services.smtpd.states import MAIL, RCPT, START

_NONE: frozenset[bytes] = frozenset()
_OFFERED_WITHOUT_AUTH = frozenset({b"SIZE", b"BODY", b"SMTPUTF8"})
_OFFERED = _OFFERED_WITHOUT_AUTH | {b"AUTH"}
_READY = Ready()
_NO, _QUOTA = Exists.NO, Exists.QUOTA


class EnvelopeSteps(LoginSteps):
    """From whom and to whom."""

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
            if not (is_mailbox(address) if address else is_null_path(argument)):
                self._bad(replies.BAD_SENDER)
                return
            parameters = parse_parameters(rest) if rest else parameters
            refusal = self._refuse_parameters(parameters)
            if refusal is not None:
                self._bad(refusal)
                return
        self._bad_commands = 0

        def begin(hooked: Hooked) -> None:
            if hooked.refused:
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
        """RFC 1870 6.1, RFC 6152 2; 555 for what EHLO does not announce (RFC 5321 4.1.1.11).

        AUTH= is taken where AUTH is announced, and no more: whose mail it was is not passed on (RFC 4954 5)."""
        known = _OFFERED if self.client.auth_offered or self.account else _OFFERED_WITHOUT_AUTH
        if has_unknown(parameters, known):
            return replies.UNKNOWN_PARAMETER
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
            if self._state is not START:
                self._forget_mail()
            self._sender = address
            self._bad_sender = self.policy.is_bad_sender(address)
            if parameters:
                self._body_type = parameters.get(b"BODY", b"7BIT").upper().decode()
                self._smtputf8 = b"SMTPUTF8" in parameters
            self._state = MAIL
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
        refusal = self._refuse_syntax(address, rest)
        if refusal is not None:
            self._bad(refusal)
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

    def _refuse_syntax(self, address: bytes, rest: bytes) -> bytes | None:
        """RCPT's own form. EHLO announces no parameter for it."""
        if len(address) > MAX_ADDRESS_BYTES:
            return replies.SYNTAX
        if self._exact:
            return None
        if not is_mailbox(address):
            return replies.BAD_RECIPIENT
        return replies.UNKNOWN_PARAMETER if rest and has_unknown(parse_parameters(rest), _NONE) else None

    def _refuse_recipient(self, address: bytes) -> bytes | None:
        if self._bad_sender:
            return replies.BAD_MAIL_FROM
        if self.client.relay is None and not self.account and not self.policy.is_in_rcpthosts(address):
            return replies.NOT_IN_RCPTHOSTS
        if not self.policy.extensions:
            return None
        self._envelope_bytes += recipient_bytes(address)
        if len(self._recipients) >= self.policy.max_recipients or self._envelope_bytes > MAX_RECIPIENTS_BYTES:
            return replies.TOO_MANY_RECIPIENTS
        return None

    def _hooked_recipient(self, address: bytes, hooked: Hooked) -> None:
        if hooked.refused:
            self._reply(hooked.status or replies.LOCAL_ERROR)
        elif hooked.status is None:
            self._look_up(address, replies.OK)
        else:
            # A plug-in that accepted has answered for whether the mailbox exists, as with aiosmtpd.
            self._recipients.extend(hooked.addresses or (address,))
            self._state = RCPT
            self._reply(hooked.status)

    def _look_up(self, address: bytes, text: bytes) -> None:
        def known(answer: object) -> None:
            if answer is _NO:
                self._reply(replies.NO_MAILBOX)
            elif answer is _QUOTA:
                self._reply(replies.OVER_QUOTA)
            else:
                self._recipients.append(address)
                self._state = RCPT
                self._reply(text)

        if self.policy.extensions and self.policy.is_local(address):
            # No answer is no reason to refuse mail: whether the mailbox exists is found out at delivery then.
            self._ask(AskRecipient(address), known, known)
        else:
            known(Exists.UNKNOWN)
