"""The message of a delivery, small or large: the same bytes however often it is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.delivery.local.message import Message, SmallMessage, nameless_file

PREFIX = b"Received: x\n"
BODY = b"Subject: tes\n\nNgetes aaah ....\n"


@pytest.fixture(params=["small", "file"])
def message(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Message]:
    made: Message = SmallMessage(PREFIX, BODY)
    if request.param == "file":
        home = os.open(tmp_path, os.O_PATH)
        file = nameless_file(home)
        os.close(home)
        file.write(PREFIX)
        file.write(BODY)
        made = file
        assert os.listdir(tmp_path) == []
    yield made
    made.close()


def test_it_can_be_read_again_and_again(message: Message) -> None:
    for _ in range(2):
        assert b"".join(message.pieces()) == PREFIX + BODY
        assert message.header() == PREFIX + b"Subject: tes\n"


def test_each_program_reads_from_the_beginning(message: Message) -> None:
    for _ in range(2):
        fd = message.open()
        assert os.read(fd, 1000) == PREFIX + BODY
        os.close(fd)


def test_nobody_else_may_open_what_a_program_reads(message: Message) -> None:
    fd = message.open()
    assert os.fstat(fd).st_mode & 0o777 == 0o600
    os.close(fd)


def test_a_program_cannot_change_a_large_message(tmp_path: Path) -> None:
    home = os.open(tmp_path, os.O_PATH)
    file = nameless_file(home)
    os.close(home)
    fd = file.open()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(fd, b"x")
    os.close(fd)
    file.close()


def test_a_prefix_that_ends_the_header_hides_the_body() -> None:
    assert SmallMessage(b"A: b\n\n", BODY).header() == b"A: b\n"
    assert SmallMessage(b"", b"\nA: b\n").header() == b""
    assert SmallMessage(PREFIX, b"\nA: b\n").header() == PREFIX
