"""What a bounce shows of the message, and what it says of its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.queue.bounce.copy import MAX_HEADER_BYTES, STRIPPED, Copy, Octets

HEADER = b"From: ari@xeris.com\nSubject: besar\n\n"
LINES = b"".join(b"baris %04d\n" % number for number in range(1000))


def copy_of(message: bytes, max_bytes: int, piece_bytes: int = 1 << 20) -> bytes:
    copy, kept = Copy(max_bytes), b""
    for start in range(0, len(message), piece_bytes):
        kept += copy.take(message[start : start + piece_bytes])
        if copy.full:
            break
    return kept + copy.end()


def test_a_message_within_the_bound_is_whole_and_without_a_bound_every_message() -> None:
    message = HEADER + LINES
    assert copy_of(message, len(message)) == copy_of(message, 0) == message


@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 1 << 20])
def test_a_longer_body_ends_with_a_whole_line_and_a_word_about_it(piece_bytes: int) -> None:
    kept = copy_of(HEADER + LINES, 2000, piece_bytes)
    assert kept.endswith(STRIPPED) and kept.startswith(HEADER)
    text = kept.removesuffix(STRIPPED)
    assert text.endswith(b"\n") and len(text) <= 2001 and (HEADER + LINES).startswith(text.rstrip(b"\n"))
    assert piece_bytes < 2000 or (len(text) <= 2000 and (HEADER + LINES).startswith(text))


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_the_header_is_whole_though_it_is_longer_than_the_bound(piece_bytes: int) -> None:
    assert copy_of(HEADER + LINES, 10, piece_bytes) == HEADER + STRIPPED
    assert copy_of(HEADER, 10, piece_bytes) == HEADER
    assert copy_of(b"\n" + LINES, 1, piece_bytes) == b"\n" + STRIPPED, "no header at all"


def test_a_header_without_end_is_bounded() -> None:
    kept = copy_of(b"X-Long: " + b"x" * 3 * MAX_HEADER_BYTES + b"\n\nbody\n", 100, 100_000)
    assert MAX_HEADER_BYTES <= len(kept) <= MAX_HEADER_BYTES + len(STRIPPED) + 1
    assert kept.endswith(b"x\n" + STRIPPED)


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(1, 50))
def test_the_copy_is_a_beginning_of_the_message_however_it_is_cut(message: bytes, bound: int, piece: int) -> None:
    kept = copy_of(message, bound, piece)
    if kept != message:
        assert kept.endswith(STRIPPED)
        text = kept.removesuffix(STRIPPED)
        assert message.startswith((text, text.removesuffix(b"\n")))


@pytest.mark.parametrize(
    ("pieces", "charset"),
    [
        ([b"plain\n"], None),
        ([b"d\xc3", b"\xa9p\xc3\xaache"], b"utf-8"),
        ([b"caf\xe9\n"], b"unknown-8bit"),
        ([b"cut \xc3"], b"unknown-8bit"),
        ([], None),
    ],
)
def test_the_charset_is_named_only_where_there_is_more_than_ascii(pieces: list[bytes], charset: bytes | None) -> None:
    octets = Octets()
    for piece in pieces:
        octets.take(piece)
    assert octets.charset == charset
