"""Both ends of `ask.pass`, and its bytes on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.accounts.assign import Account
from qmail.bus.ports import BusDown, Message, TemporaryError
from qmail.bus.talk import ask_pass
from qmail.bus.talk.ask_pass import (
    MAX_NAME_BYTES,
    MAX_PASSWORD_BYTES,
    NO,
    TEMPORARY,
    Question,
    encode_question,
    encode_yes,
    parse_answer,
    parse_question,
)
from tests.support.memory_bus import MemoryBus

GOLDEN = Path(__file__).parents[2] / "golden" / "ask-pass.json"
ARI = Account(b"ari", 2001, 2002, Path("/home/ari"))
QUESTION = Question(user=b"ari", password=b"p\xe4ss", service="pop3", ip="127.0.0.1", tls=True)
ASKED = {"user": "ari", "password": "p\xe4ss", "service": "pop3", "ip": "127.0.0.1", "tls": True}


def test_the_bytes_on_the_wire_are_the_golden_ones() -> None:
    shared = Question(user=b"a\xff", password=b"x", service="imap", ip="172.29.25.1", shared=True)
    apop = Question(user=b"ari", password=b"0" * 32, service="pop3", ip="::1", apop=b"<1.2@mail.xeris.com>")
    lines = [encode_question(QUESTION), encode_question(shared), encode_question(apop), encode_yes(ARI), NO, TEMPORARY]
    assert b"\n".join(lines) + b"\n" == GOLDEN.read_bytes()


@pytest.mark.parametrize("number", range(3))
def test_what_is_asked_is_understood(number: int) -> None:
    payload = GOLDEN.read_bytes().splitlines()[number]
    question = parse_question(payload)
    assert question is not None and encode_question(question) == payload


def test_the_password_is_not_in_the_text_form() -> None:
    assert "ss" not in repr(QUESTION)


@pytest.mark.parametrize(
    "change",
    [
        {"user": ""},
        {"password": ""},
        {"user": None},
        {"password": 5},
        {"user": "\u20ac"},
        {"user": "x" * (MAX_NAME_BYTES + 1)},
        {"user": "a\0"},
        {"password": "x" * (MAX_PASSWORD_BYTES + 1)},
        {"password": "x\0"},
        {"apop": "\u20ac"},
    ],
)
def test_what_is_no_request_is_refused(change: dict[str, object]) -> None:
    assert parse_question(json.dumps({**ASKED, **change}).encode()) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"5", b"{}", b"\xff", b"[" * 10_000, b'{"user":"a"}' + b" " * 20_000])
def test_garbage_is_refused(payload: bytes) -> None:
    assert parse_question(payload) is None
    with pytest.raises(BusDown):
        parse_answer(payload)


@given(st.binary(max_size=200))
def test_nothing_breaks_the_parsers(payload: bytes) -> None:
    parse_question(payload)
    with contextlib.suppress(BusDown):
        parse_answer(payload)


def test_answers_are_understood() -> None:
    assert parse_answer(encode_yes(ARI)) == ARI
    assert parse_answer(NO) is None
    with pytest.raises(BusDown):
        parse_answer(TEMPORARY)
    with pytest.raises(BusDown):
        parse_answer(b'{"ok":true,"name":"ari"}')


@pytest.mark.parametrize("payload", [encode_yes(ARI), NO, TEMPORARY])
def test_one_time_limit_whoever_asks(payload: bytes) -> None:
    """The bus is told how long to wait by the one room that knows how long auth may take."""
    limits = []

    class Bus(MemoryBus):
        async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
            limits.append(timeout_seconds)
            return await super().request(subject, payload, timeout_seconds)

    async def talk() -> object:
        bus = Bus()

        def answer(message: Message) -> None:
            bus.publish(message.reply, payload)

        await bus.subscribe(ask_pass.SUBJECT, answer, "workers")
        try:
            return await ask_pass.ask(bus, QUESTION)
        except TemporaryError as error:
            return type(error)

    assert asyncio.run(talk()) == {encode_yes(ARI): ARI, NO: None, TEMPORARY: BusDown}[payload]
    assert limits == [ask_pass.ASK_SECONDS] and ask_pass.ANSWER_SECONDS < ask_pass.ASK_SECONDS


def test_what_no_account_can_have_is_not_asked() -> None:
    class Nobody:
        async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
            raise AssertionError("asked")

    question = Question(user=b"ari", password=b"", service="smtp", ip="127.0.0.1")
    assert asyncio.run(ask_pass.ask(Nobody(), question)) is None
