"""Framing of the queue's socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.message.netstring import MAX_FRAME_BYTES, NetstringError, decode, encode


@given(st.binary(max_size=300), st.binary(max_size=20))
def test_what_is_encoded_is_decoded_and_no_byte_too_early(data: bytes, rest: bytes) -> None:
    frame = encode(data)
    assert decode(frame + rest) == (data, len(frame))
    assert all(decode(frame[:cut]) is None for cut in range(len(frame)))


@pytest.mark.parametrize("buffer", [b"x", b":", b":,", b"3:abcd", b"-1:", b"999999", b"65537:", b"1" * 30, b"\xff"])
def test_what_is_no_netstring_is_refused(buffer: bytes) -> None:
    with pytest.raises(NetstringError):
        decode(buffer)


def test_the_largest_frame() -> None:
    data = b"x" * MAX_FRAME_BYTES
    assert decode(encode(data)) == (data, len(encode(data)))
