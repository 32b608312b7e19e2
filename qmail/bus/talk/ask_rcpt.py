"""`ask.rcpt`: does this local recipient exist? Asked by smtpd, answered by delivery-local.

Whoever hears no answer in ASK_SECONDS, or none that can be understood, takes it for UNKNOWN and accepts, as qmail-smtpd
accepts all: delivery finds out.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

from qmail.bus.ports import Bus, Subscription, TemporaryError
from qmail.bus.talk.messages import AskBus, Malformed, answer_each, strict
from qmail.message.address import Address
from qmail.message.existence import Exists

SUBJECT: Final = "ask.rcpt"
ASK_SECONDS: Final = 2.0


def encode_question(address: Address) -> bytes:
    """The request (docs/formats.md; tests/golden/ask-rcpt.json)."""
    return json.dumps({"address": address.raw.decode("latin-1")}).encode("ascii")


@strict("a question about a recipient")
def decode_question(payload: bytes) -> Address:
    """Raises Malformed."""
    return Address(json.loads(payload)["address"].encode("latin-1"))


def encode_answer(exists: Exists) -> bytes:
    return json.dumps({"answer": exists.value}).encode("ascii")


@strict("an answer about a recipient")
def decode_answer(payload: bytes) -> Exists:
    """Raises Malformed."""
    return Exists(json.loads(payload)["answer"])


async def ask(bus: AskBus, address: Address) -> Exists:
    """smtpd's end. Never raises: without an answer it is UNKNOWN."""
    try:
        return decode_answer(await bus.request(SUBJECT, encode_question(address), ASK_SECONDS))
    except (TemporaryError, Malformed):
        return Exists.UNKNOWN


async def answer(bus: Bus, look_up: Callable[[Address], Awaitable[Exists]]) -> Subscription:
    """delivery-local's end: answer from now on with what `look_up` says of the address. Raises BusDown."""

    async def respond(payload: bytes) -> bytes:
        try:
            exists = await look_up(decode_question(payload))
        except Malformed:
            exists = Exists.UNKNOWN
        return encode_answer(exists)

    return await answer_each(bus, SUBJECT, respond)
