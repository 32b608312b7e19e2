"""Records that are none: the error that the readers wait for, whatever JSON makes of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qmail.message.envelope import decode_envelope
from services.delivery.wire import decode_confirmed, decode_jobs
from services.queue.decide.message import decode_state
from services.queue.run.outbox import decode_heartbeat, decode_reports

DECODERS = (decode_envelope, decode_state, decode_jobs, decode_confirmed, decode_reports, decode_heartbeat)


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize(
    "record", [b"", b"{", b"null", b"[]", b"{}", b"[" * 100_000, b'{"v":2}', b'{"worker":1,"running":[[1e999,1,1]]}']
)
def test_no_record(decode: Callable[[bytes], object], record: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        decode(record)
    assert str(caught.value)
