"""What a process says of itself fits one record, and what is not such a word is refused."""

from __future__ import annotations

import os

import pytest

from qmail.bus.talk.presence import Presence, age_seconds, decode, encode, myself
from qmail.log.notices import MAX_STANDING, Standing


def test_it_is_read_as_it_was_said() -> None:
    said = Presence(role="smtpd", host="4f3a", pid=7, seconds=182.5, standing=(Standing("tls", "no key", 12.5),))
    assert decode(encode(said)) == said


def test_the_most_that_may_stand_fits_the_bus() -> None:
    standing = [Standing(f"key {n}", "\N{SNOWMAN}" * 4000, 1.0) for n in range(MAX_STANDING)]
    assert len(encode(myself("smtpd", standing))) < 1_000_000


def test_the_age_is_that_of_the_process() -> None:
    me = myself("smtpd", ())
    assert me.pid == os.getpid()
    assert 0 < me.seconds <= age_seconds()


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"v": 2}', b'{"v": 1, "role": "x"}', b"[" * 100_000])
def test_what_is_no_such_word_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):
        decode(payload)
