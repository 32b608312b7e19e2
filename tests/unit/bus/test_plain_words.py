"""The conversations of a word or none: the disk, lost records, a flush, an abort; golden bytes and both ends."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.bus.ports import BusDown, Message
from qmail.bus.talk import abort, disk, flush, lost
from qmail.bus.talk.lost import Range
from qmail.bus.talk.messages import Malformed
from tests.support.memory_bus import MemoryBus

GOLDEN = Path(__file__).parents[2] / "golden"
NUMBER = 217612277476074000


async def turn() -> None:
    """What was published has been heard."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_an_abort_is_as_in_its_golden_file() -> None:
    golden = (GOLDEN / "abort.txt").read_bytes().rstrip(b"\n")
    assert abort.encode(NUMBER) == golden and abort.decode(golden) == NUMBER


@pytest.mark.parametrize("payload", [b"", b"-1", b"+1", b" 1", b"1\n", b"x", "٣".encode(), b"1" * 20, b"[" * 100_000])
def test_what_is_no_number_is_no_abort(payload: bytes) -> None:
    with pytest.raises(Malformed):
        abort.decode(payload)


@given(st.integers(0, 2**63 - 1))
def test_every_message_number_can_be_aborted(number: int) -> None:
    assert abort.decode(abort.encode(number)) == number


def test_an_abort_is_heard_and_what_is_none_is_passed_over() -> None:
    async def talk() -> None:
        bus = MemoryBus()
        heard: list[int] = []
        await abort.hear(bus, heard.append)
        bus.publish(abort.SUBJECT, b"x")
        abort.tell(bus, NUMBER)
        await turn()
        assert heard == [NUMBER]

    asyncio.run(talk())


def test_every_worker_that_listens_hears_of_a_flush() -> None:
    async def talk() -> None:
        bus = MemoryBus()
        heard: list[str] = []
        for name in ("a", "b"):
            await flush.hear(bus, partial(heard.append, name))
        flush.tell(bus)
        await turn()
        assert sorted(heard) == ["a", "b"]

    asyncio.run(talk())


@pytest.mark.parametrize("room", [True, False])
def test_the_disk_is_full_where_admin_says_so(room: bool) -> None:
    async def talk() -> bool:
        bus = MemoryBus()
        words: list[bytes] = []
        await disk.answer(bus, lambda: room)
        words.append(await bus.request(disk.SUBJECT, b"", disk.ASK_SECONDS))
        assert words == [(GOLDEN / "ask-disk.txt").read_bytes().splitlines()[room]]
        return await disk.is_full(bus)

    assert asyncio.run(talk()) is not room


@pytest.mark.parametrize("words", [None, b"", b"FULL"])
def test_the_disk_is_not_taken_for_full_on_another_word_or_none(words: bytes | None) -> None:
    class Admin:
        async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
            assert (subject, timeout_seconds) == (disk.SUBJECT, disk.ASK_SECONDS)
            if words is None:
                raise BusDown(subject)
            return words

    assert not asyncio.run(disk.is_full(Admin()))


def test_lost_records_are_remembered_before_the_answer() -> None:
    async def talk() -> None:
        bus = MemoryBus()
        remembered: list[Range] = []

        async def take(ranges: list[Range]) -> None:
            await asyncio.sleep(0)
            remembered.extend(ranges)

        await lost.remember(bus, take, lambda error: None)
        await lost.tell(bus, [(42, 44), (50, 50)])
        assert remembered == [(42, 44), (50, 50)]

    asyncio.run(talk())


def test_lost_records_are_told_to_everybody_who_remembers() -> None:
    async def talk() -> None:
        bus = MemoryBus()
        remembered: list[Range] = []

        async def take(ranges: list[Range]) -> None:
            remembered.extend(ranges)

        await lost.remember(bus, take, lambda error: None)
        await lost.remember(bus, take, lambda error: None)
        await lost.tell(bus, [(42, 44)])
        assert remembered == [(42, 44), (42, 44)]

    asyncio.run(talk())


def test_what_is_no_list_of_lost_records_is_told_and_not_answered() -> None:
    async def talk() -> None:
        bus = MemoryBus()
        ignored: list[Malformed] = []
        answers: list[Message] = []

        async def take(ranges: list[Range]) -> None:
            raise AssertionError("taken")

        await lost.remember(bus, take, ignored.append)
        await bus.subscribe("reply", answers.append)
        bus.publish(lost.SUBJECT, b'{"v": 1}', "reply")
        await turn()
        assert [str(error) for error in ignored] == ["not a list of lost records: 'ranges'"] and not answers

    asyncio.run(talk())
