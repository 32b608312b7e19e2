"""Both ends of `ask.rcpt`: a doubt, a strange word and silence all mean that the recipient is accepted."""

from __future__ import annotations

import asyncio

import pytest

from qmail.bus.ports import BusDown, Message
from qmail.bus.talk import ask_rcpt
from qmail.message.address import Address
from qmail.message.existence import Exists
from tests.support.memory_bus import MemoryBus


@pytest.mark.parametrize("exists", Exists)
def test_what_is_found_is_what_is_heard(exists: Exists) -> None:
    async def talk() -> None:
        bus, asked = MemoryBus(), []

        async def look_up(address: Address) -> Exists:
            asked.append(address)
            return exists

        await ask_rcpt.answer(bus, look_up)
        await ask_rcpt.answer(bus, look_up)
        assert await ask_rcpt.ask(bus, Address(b"j\xf6ni@xeris.com")) is exists
        assert asked == [Address(b"j\xf6ni@xeris.com")], "one of those who answer is asked"

    asyncio.run(talk())


@pytest.mark.parametrize("question", [b"", b"[]", b"{}", b'{"address": 3}', b'{"address": "\\u20ac"}', b"\xff"])
def test_a_malformed_question_is_answered(question: bytes) -> None:
    async def talk() -> None:
        async def look_up(address: Address) -> Exists:
            raise AssertionError("looked up")

        bus = MemoryBus()
        await ask_rcpt.answer(bus, look_up)
        answer = await bus.request("ask.rcpt", question, ask_rcpt.ASK_SECONDS)
        assert ask_rcpt.decode_answer(answer) is Exists.UNKNOWN

    asyncio.run(talk())


@pytest.mark.parametrize("word", [b"", b"{}", b'{"answer": "perhaps"}', b'{"answer": ["no"]}'])
def test_a_strange_answer_is_no_reason_to_refuse(word: bytes) -> None:
    async def talk() -> None:
        bus = MemoryBus()

        def give(message: Message) -> None:
            bus.publish(message.reply, word)

        await bus.subscribe("ask.rcpt", give, "workers")
        assert await ask_rcpt.ask(bus, Address(b"joni@xeris.com")) is Exists.UNKNOWN

    asyncio.run(talk())


def test_nobody_there_is_no_reason_to_refuse() -> None:
    limits = []

    class Nobody:
        async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
            limits.append(timeout_seconds)
            raise BusDown(subject)

    assert asyncio.run(ask_rcpt.ask(Nobody(), Address(b"joni@xeris.com"))) is Exists.UNKNOWN
    assert limits == [ask_rcpt.ASK_SECONDS]
