"""The bounce writer on a bus in memory: how much of a message comes back, and how its 8-bit bytes are marked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qmail.control.files import Control
from qmail.message.ids import IdSource
from qmail.queue.fetch import Fetched, body_pieces
from qmail.queue.put import CHUNK_BYTES, Submitter
from services.queue.bounce import talk
from services.queue.bounce.copy import STRIPPED
from services.queue.bounce.talk import Answer, BounceRequest
from services.queue.bounce.writer import BounceWriter
from tests.support.drafts import INVOKED, make_draft
from tests.support.memory_bus import MemoryBus
from tests.support.stored import fetch_all, positions

HEADER = b"From: ari@xeris.com\nSubject: besar\n\n"
MARKS = (b"MIME-Version: 1.0\n", b"Content-Transfer-Encoding: 8bit\n")


def bounce_of(tmp_path: Path, body: bytes, **control: str) -> tuple[Fetched, bytes]:
    """The bounce of a message as it lies on the bus, and its whole text without our own prefix."""
    for name, content in {"me": "mail.xeris.com\n", **control}.items():
        (tmp_path / name).write_text(content)

    async def work() -> tuple[Fetched, bytes]:
        bus, ids = MemoryBus(), IdSource()
        ids.grant(1, 0, 2**42)
        await BounceWriter(bus, Control(tmp_path), 902).start()
        submission = Submitter(bus, ids).begin()
        await submission.write(body)
        message = await submission.commit(make_draft(b"a@b"), INVOKED)
        bounce_id = ids.next()
        request = BounceRequest(
            id=message.id,
            held=False,
            position=(await positions(bus))[message.id],
            bounce_id=bounce_id,
            paragraphs=b"<a@b>:\nno\n\n",
        )
        assert await talk.ask_bounce(bus, request) == Answer(ok=True)
        found = next(each for each in await fetch_all(bus) if each.envelope.id == bounce_id)
        text = found.body
        if text is None:
            text = b"".join([piece async for piece in body_pieces(bus, found)])
        assert len(text) == found.envelope.size_bytes
        return found, text

    return asyncio.run(work())


LARGE = HEADER + b"baris yang panjang\n" * 100_000


def test_without_the_file_the_whole_message_comes_back(tmp_path: Path) -> None:
    found, text = bounce_of(tmp_path, LARGE)
    assert text.endswith(LARGE) and found.envelope.chunk_count == len(text) // CHUNK_BYTES + 1


def test_a_large_message_comes_back_with_its_header_and_the_beginning_of_its_body(tmp_path: Path) -> None:
    found, text = bounce_of(tmp_path, LARGE, bouncemaxbytes="50000\n")
    assert found.envelope.chunk_count == 0 and len(text) < 51_000
    assert HEADER in text and text.endswith(b"baris yang panjang\n" + STRIPPED)


@pytest.mark.parametrize(
    ("body", "charset"),
    [("Subject: a\n\ndépêche\n".encode(), b"utf-8"), (b"Subject: a\n\ncaf\xe9\n", b"unknown-8bit")],
)
def test_eight_bit_bytes_are_marked_in_the_header_and_in_the_envelope(
    tmp_path: Path, body: bytes, charset: bytes
) -> None:
    found, text = bounce_of(tmp_path, body)
    header, _, _ = text.partition(b"\n\n")
    assert b"\nContent-Type: text/plain; charset=" + charset + b"\n" in header + b"\n"
    assert all(mark in header + b"\n" for mark in MARKS) and found.envelope.parameters.body_type == "8BITMIME"


def test_a_plain_bounce_has_no_mark_and_qmail_1_03_never_had_one(tmp_path: Path) -> None:
    plain, text = bounce_of(tmp_path, HEADER + b"halo\n")
    assert not any(mark in text for mark in MARKS) and plain.envelope.parameters.body_type == "7BIT"
    _, text = bounce_of(tmp_path, b"Subject: a\n\ncaf\xe9\n", extensions="none\n")
    assert not any(mark in text for mark in MARKS)
