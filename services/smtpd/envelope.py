"""MAIL and RCPT, as steps of the dialogue (RFC 5321 4.1.1.2, 4.1.1.3; qmail-smtpd(8)). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from qmail.message.address import Address
from qmail.message.envelope import MAX_RECIPIENTS_BYTES, MailParameters, Recipient, recipient_bytes
from qmail.message.existence import Exists
from services.smtpd import replies
from services.smtpd.dialogue import Dialogue
from services.smtpd.extensions import mail_parameters, refuse_parameters
from services.smtpd.facts import AskRecipient, Hooked, Ready
from services.smtpd.grammar import (
    MAX_ADDRESS_BYTES,
    has_unknown,
    is_mailbox,
    is_null_path,
    parse_command,
    parse_parameters,
    parse_path,
    replace_address_literal,
)
from services.smtpd.mail_transaction import MailTransaction

_NONE: frozenset[bytes] = frozenset()
_NO_PARAMETERS: Mapping[bytes, bytes] = {}
_READY = Ready()
_NO, _QUOTA = Exists.NO, Exists.QUOTA
# Recipients that are asked for at once.
MOST_AHEAD = 64


def mail(dialogue: Dialogue, argument: bytes) -> None:
    policy = dialogue.policy
    address, rest = _path(dialogue, argument)
    parameters = parse_parameters(rest) if rest and policy.extensions else _NO_PARAMETERS
    refusal = _refuse_mail(dialogue, argument, address, parameters)
    if refusal is not None:
        dialogue.bad(refusal)
        return
    dialogue.good()

    def decided(hooked: Hooked) -> None:
        if hooked.refused:
            dialogue.reply(hooked.status or replies.LOCAL_ERROR)
        else:
            sender = hooked.addresses[0] if hooked.addresses else address
            _begin_mail(dialogue, sender, mail_parameters(parameters), hooked.status or replies.OK)

    if dialogue.hooks:
        dialogue.ask_plugin("MAIL", address.raw, decided, rest.split())
    else:
        _begin_mail(dialogue, address, mail_parameters(parameters), replies.OK)


def _refuse_mail(
    dialogue: Dialogue, argument: bytes, address: Address, parameters: Mapping[bytes, bytes]
) -> bytes | None:
    if len(address.raw) > MAX_ADDRESS_BYTES:
        return replies.SYNTAX
    if not dialogue.policy.extensions:
        return None
    client = dialogue.client
    if client.auth_required and not dialogue.account:
        return replies.TLS_FIRST if client.tls_offered and not client.auth_offered else replies.AUTH_FIRST
    if not (is_mailbox(address) if address else is_null_path(argument)):
        return replies.BAD_SENDER
    return refuse_parameters(dialogue, parameters) if parameters else None


def _begin_mail(dialogue: Dialogue, sender: Address, parameters: MailParameters, text: bytes) -> None:
    def begin(_: object) -> None:
        entry = dialogue.policy.bad_mail_from.find(sender)
        dialogue.mail = MailTransaction(sender, parameters, bad_sender_entry=entry)
        dialogue.proceed(text)

    if dialogue.policy.extensions:
        dialogue.ask(_READY, begin, lambda error: _not_ready(dialogue, error))
    else:
        begin(None)


def _not_ready(dialogue: Dialogue, error: BaseException) -> None:
    """Nor is there room for what an earlier MAIL began."""
    dialogue.reply(dialogue.failure(error))
    dialogue.reset()


def rcpt(dialogue: Dialogue, argument: bytes) -> None:
    address, rest = _path(dialogue, argument)
    refusal = _refuse_syntax(address, rest, exact=not dialogue.policy.extensions)
    if refusal is not None:
        dialogue.bad(refusal)
        return
    dialogue.good()
    refusal = _refuse_recipient(dialogue, address)
    if refusal is not None:
        dialogue.reply(refusal)
        return
    if dialogue.client.relay:
        address = Address(address.raw + dialogue.client.relay)
    if dialogue.hooks:
        dialogue.ask_plugin("RCPT", address.raw, lambda hooked: _decided(dialogue, address, hooked), rest.split())
    else:
        _look_up(dialogue, address, replies.OK)


def _path(dialogue: Dialogue, argument: bytes) -> tuple[Address, bytes]:
    policy = dialogue.policy
    address, rest = parse_path(argument)
    return replace_address_literal(address, policy.local_ips, policy.local_ip_host), rest


def recipients_ahead(dialogue: Dialogue) -> list[Address]:
    """The local recipients that a pipelining client has named behind the command that is being answered, as far as
    they have come whole (RFC 2920 3.1): to ask for one after the other would cost the bus's time for each."""
    if dialogue.hooks or dialogue.client.relay:
        return []
    found = []
    for line in dialogue.unread.split(b"\n", MOST_AHEAD)[:-1]:
        verb, argument = parse_command(line)
        if verb != b"rcpt":
            break
        address, rest = _path(dialogue, argument)
        if _refuse_syntax(address, rest, exact=False) is None and dialogue.policy.is_local(address):
            found.append(address)
    return found


def _refuse_syntax(address: Address, rest: bytes, *, exact: bool) -> bytes | None:
    """RCPT's own form. EHLO announces no parameter for it."""
    if len(address.raw) > MAX_ADDRESS_BYTES:
        return replies.SYNTAX
    if exact:
        return None
    if not is_mailbox(address):
        return replies.BAD_RECIPIENT
    return replies.UNKNOWN_PARAMETER if rest and has_unknown(parse_parameters(rest), _NONE) else None


def _refuse_recipient(dialogue: Dialogue, address: Address) -> bytes | None:
    policy, transaction = dialogue.policy, dialogue.mail
    if transaction.bad_sender_entry is not None:
        dialogue.hit("badmailfrom", transaction.bad_sender_entry)
        return replies.BAD_MAIL_FROM
    if policy.bad_rcpt_to and (entry := policy.bad_rcpt_to.find(address)) is not None:
        dialogue.hit("badrcptto", entry)
        return replies.BAD_RCPT_TO
    if dialogue.client.relay is None and not dialogue.account and not policy.is_in_rcpthosts(address):
        return replies.NOT_IN_RCPTHOSTS
    if not policy.extensions:
        return None
    transaction.envelope_bytes += recipient_bytes(address)
    if len(transaction.recipients) >= policy.max_recipients or transaction.envelope_bytes > MAX_RECIPIENTS_BYTES:
        return replies.TOO_MANY_RECIPIENTS
    return None


def _decided(dialogue: Dialogue, address: Address, hooked: Hooked) -> None:
    if hooked.refused:
        dialogue.reply(hooked.status or replies.LOCAL_ERROR)
    elif hooked.addresses in ((), (address,)):
        _look_up(dialogue, address, hooked.status or replies.OK)
    else:
        # A plug-in that names others answers for them.
        dialogue.mail.recipients.extend(map(Recipient, hooked.addresses))
        dialogue.proceed(hooked.status or replies.OK)


def _look_up(dialogue: Dialogue, address: Address, text: bytes) -> None:
    def known(answer: object) -> None:
        if answer is _NO:
            dialogue.reply(replies.NO_MAILBOX)
        elif answer is _QUOTA:
            dialogue.reply(replies.OVER_QUOTA)
        else:
            dialogue.mail.recipients.append(Recipient(address))
            dialogue.proceed(text)

    if dialogue.policy.extensions and dialogue.policy.is_local(address):
        # No answer is no reason to refuse mail: whether the mailbox exists is found out at delivery then.
        dialogue.ask(AskRecipient(address), known, known)
    else:
        known(Exists.UNKNOWN)
