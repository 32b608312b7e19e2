"""DATA and the text that follows it, as steps of the dialogue. Pure."""

from __future__ import annotations

from dataclasses import replace

from qmail.message.dates import date822
from qmail.message.envelope import Draft
from services.smtpd import replies
from services.smtpd.data import Verdict
from services.smtpd.dialogue import Dialogue
from services.smtpd.facts import Commit, Drop, Hooked, Store
from services.smtpd.mail_transaction import MailText
from services.smtpd.received import protocol_name, render_received_head

_MORE, _END_OF_DATA = Verdict.MORE, Verdict.END


def data(dialogue: Dialogue, _argument: bytes) -> None:
    dialogue.mail.text = MailText(dialogue.limit_bytes)
    dialogue.good()
    dialogue.proceed(replies.GO_AHEAD)


def text(dialogue: Dialogue, chunk: bytes) -> None:
    """Whatever the client sends after DATA, cut anywhere."""
    gathered = dialogue.mail.text
    assert gathered is not None
    verdict = gathered.take(chunk)
    if "DATA" in dialogue.hooks and not dialogue.share.hold(gathered.gathered_bytes):
        gathered.not_stored(replies.BODIES_FULL)
    if verdict is _MORE:
        _hand_on(dialogue, gathered)
    elif verdict is _END_OF_DATA:
        dialogue.unread = gathered.rest
        _complete(dialogue, gathered)
    else:
        dialogue.end(replies.STRAY_NEWLINE)


def _hand_on(dialogue: Dialogue, gathered: MailText) -> None:
    """Large messages leave in parts. A message already refused is only read to its end."""
    if gathered.is_lost:
        gathered.take_parts()
        if gathered.streaming:
            gathered.streaming = False
            dialogue.ask(Drop(), _nothing, _nothing)
    elif gathered.part_is_due and "DATA" not in dialogue.hooks:
        gathered.streaming = True
        part = Store(gathered.take_parts())
        dialogue.ask(part, _nothing, lambda error: gathered.not_stored(dialogue.failure(error)))


def _nothing(_: object) -> None:
    return None


def _complete(dialogue: Dialogue, gathered: MailText) -> None:
    refusal = gathered.refusal
    if refusal is None:
        _offer(dialogue, gathered.take_parts())
    elif gathered.streaming:
        dialogue.ask(Drop(), lambda _: dialogue.proceed(refusal), lambda _: dialogue.proceed(refusal))
    else:
        dialogue.proceed(refusal)


def _offer(dialogue: Dialogue, body: bytes) -> None:
    """Put the message, after a plug-in's word where one wants to see it."""
    if not dialogue.hooks:
        _put(dialogue, body)
        return

    def decided(hooked: Hooked) -> None:
        if hooked.refused:
            dialogue.proceed(hooked.status or replies.LOCAL_ERROR)
        else:
            _put(dialogue, body)

    dialogue.ask_plugin("DATA", body, decided)


def _put(dialogue: Dialogue, body: bytes) -> None:
    def stored(id: object) -> None:
        assert isinstance(id, int)
        dialogue.accomplished += 1
        dialogue.proceed(replies.accepted(int(dialogue.now()), id))

    request = Commit(_draft(dialogue), body)
    dialogue.ask(request, stored, lambda error: dialogue.proceed(dialogue.failure(error)))


def _draft(dialogue: Dialogue) -> Draft:
    mail = dialogue.mail
    if dialogue.submitter is None:
        origin = replace(dialogue.origin, helo=dialogue.helo or b"", account=dialogue.account)
        dialogue.submitter = origin, _received_head(dialogue)
    origin, head = dialogue.submitter
    return Draft(
        origin=origin,
        sender=mail.sender,
        recipients=tuple(mail.recipients),
        parameters=mail.parameters,
        prefix=head + date822(dialogue.now()) + b"\n",
    )


def _received_head(dialogue: Dialogue) -> bytes:
    client, helo = dialogue.client, dialogue.helo
    extended = dialogue.policy.extensions and dialogue.extended
    protocol = protocol_name(extended=extended, tls=client.tls, authenticated=bool(dialogue.account))
    fake = helo is not None and helo.lower() != client.remote_host.lower()
    return render_received_head(client, helo if fake else None, protocol)
