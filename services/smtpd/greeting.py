"""HELO and EHLO (RFC 5321 4.1.1.1), as steps of the dialogue. Pure."""

from __future__ import annotations

from services.smtpd import replies
from services.smtpd.dialogue import Dialogue
from services.smtpd.extensions import keywords
from services.smtpd.facts import Hooked


def helo(dialogue: Dialogue, argument: bytes) -> None:
    dialogue.greeted(argument, extended=False)
    _answer(dialogue, "HELO", argument, replies.helo(dialogue.policy.greeting))


def ehlo(dialogue: Dialogue, argument: bytes) -> None:
    dialogue.greeted(argument, extended=True)
    _answer(dialogue, "EHLO", argument, replies.ehlo(dialogue.policy.greeting, keywords(dialogue)))


def _answer(dialogue: Dialogue, verb: str, argument: bytes, text: bytes) -> None:
    def decided(hooked: Hooked) -> None:
        dialogue.proceed(hooked.status or text)

    if dialogue.hooks:
        dialogue.ask_plugin(verb, argument, decided, text.splitlines())
    else:
        dialogue.proceed(text)
