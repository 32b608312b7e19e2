"""Replies as qmail-remote reads them: whatever the cuts, whatever the far host sends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.delivery.remote.replies import MAX_REMOTE_TEXT_BYTES
from services.delivery.remote.reply import MAX_REPLY_BYTES, Reply, ReplyReader, ReplyTooLongError

STREAM = b"220 hello\r\n250-one\r\n250-two\r\n250 three\r\n450-no\r\n550 last\r\n25\r\nx\r\n250 ok\n"
REPLIES = [
    Reply(220, b"220 hello\n"),
    Reply(250, b"250-one\n250-two\n250 three\n"),
    Reply(450, b"450-no\n550 last\n"),
]


def read_all(pieces: list[bytes]) -> list[Reply]:
    reader = ReplyReader()
    found = []
    for piece in pieces:
        reader.feed(piece)
        while reply := reader.next():
            found.append(reply)
    return found


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_any_cut_of_the_stream_gives_the_same_replies(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    assert read_all(pieces) == read_all([STREAM])
    assert read_all(pieces)[:3] == REPLIES


@pytest.mark.parametrize(
    ("line", "at_least"), [(b"abc x\r\n", 500), (b"   x\r\n", 500), (b"5xx x\r\n", 500), (b"4a0 \r\n", 400)]
)
def test_codes_of_other_characters_are_never_success(line: bytes, at_least: int) -> None:
    assert read_all([line])[0].code >= at_least


def test_text_is_cut_at_5000_bytes_but_the_reply_is_read_to_its_end() -> None:
    line = b"250-" + b"x" * 496 + b"\r\n"
    replies = read_all([line * 100 + b"250 end\r\n250 next\r\n"])
    assert len(replies[0].text) == MAX_REMOTE_TEXT_BYTES
    assert replies[1].text == b"250 next\n"


def test_an_endless_line_is_given_up() -> None:
    reader = ReplyReader()
    with pytest.raises(ReplyTooLongError):
        for _ in range(MAX_REPLY_BYTES // 1000 + 2):
            reader.feed(b"x" * 1000)
            assert reader.next() is None


def test_endless_continuation_lines_are_given_up() -> None:
    reader = ReplyReader()
    reader.feed(b"250-\r\n" * 2000)
    with pytest.raises(ReplyTooLongError):
        reader.next()
