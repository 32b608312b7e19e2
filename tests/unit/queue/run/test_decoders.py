"""Records that are none: the error that the readers wait for, whatever JSON makes of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qmail.message.envelope import decode_envelope
from services.queue.decide.message import decode_state

DECODERS = (decode_envelope, decode_state)


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("record", [b"", b"{", b"null", b"[]", b"{}", b"[" * 100_000, b'{"v":2}'])
def test_no_record(decode: Callable[[bytes], object], record: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        decode(record)
    assert str(caught.value)
