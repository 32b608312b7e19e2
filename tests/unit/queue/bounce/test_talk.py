"""The scheduler and the bounce writer: whatever goes wrong at either end, it is not done, and asked for again."""

from __future__ import annotations

import asyncio

import pytest

from qmail.bus.ports import BusDown, Message
from qmail.queue.deliveries import RecordPosition
from services.queue.bounce import talk
from services.queue.bounce.talk import Answer, BounceRequest, CopyRequest
from tests.support.memory_bus import MemoryBus

BOUNCE = BounceRequest(id=7, held=False, position=RecordPosition(3, 6), bounce_id=8, paragraphs=b"\xff")


async def put(request: BounceRequest) -> Answer:
    return Answer(ok=True, discarded=request == BOUNCE)


async def copy(request: CopyRequest) -> Answer:
    return Answer(ok=False, missing=True, error=f"no {request.id}")


def test_each_request_is_answered_by_what_was_done() -> None:
    async def talk_it_over() -> None:
        bus = MemoryBus()
        await talk.answer(bus, put, copy)
        assert await talk.ask_bounce(bus, BOUNCE) == Answer(ok=True, discarded=True)
        assert await talk.ask_copy(bus, CopyRequest(7, None)) == Answer(ok=False, missing=True, error="no 7")

    asyncio.run(talk_it_over())


@pytest.mark.parametrize("subject", talk.SUBJECTS)
@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"id": "7", "place": null}', b"[" * 10_000])
def test_a_malformed_request_is_refused(subject: str, payload: bytes) -> None:
    async def talk_it_over() -> Answer:
        bus = MemoryBus()
        await talk.answer(bus, put, copy)
        return talk.decode_answer(await bus.request(subject, payload, talk.ASK_SECONDS))

    answer = asyncio.run(talk_it_over())
    assert not answer.ok and not answer.missing and answer.error.startswith("not a request")


@pytest.mark.parametrize("words", [b"", b"{}", b'{"ok": 1}', b'{"ok": true, "missing": "no"}'])
def test_a_strange_answer_means_that_it_is_not_done(words: bytes) -> None:
    async def talk_it_over() -> Answer:
        bus = MemoryBus()

        def give(message: Message) -> None:
            bus.publish(message.reply, words)

        await bus.subscribe(talk.BOUNCE, give)
        return await talk.ask_bounce(bus, BOUNCE)

    answer = asyncio.run(talk_it_over())
    assert not answer.ok and not answer.missing and answer.error.startswith("not the bounce writer's answer")


def test_nobody_there_means_that_it_is_not_done() -> None:
    class Nobody:
        async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
            assert timeout_seconds == talk.ASK_SECONDS
            raise BusDown("nobody answers")

    assert asyncio.run(talk.ask_copy(Nobody(), CopyRequest(7, None))) == Answer(ok=False, error="nobody answers")
