"""What a process says of itself fits one record, and what is not such a word is refused."""

from __future__ import annotations

import os

import pytest

from qmail.bus.talk.presence import Presence, age_seconds, decode, encode, myself
from qmail.log.notices import MAX_COUNTED, MAX_STANDING, Notices, Standing


def test_it_is_read_as_it_was_said() -> None:
    standing, counts = (Standing("tls", "no key", 12.5),), (("control/badmailfrom: @playboy.com", 3),)
    for said in (
        Presence(role="smtpd", host="4f3a", pid=7, seconds=182.5, standing=standing),
        Presence(role="smtpd", host="4f3a", pid=7, seconds=182.5, counts=counts),
    ):
        assert decode(encode(said)) == said


def test_the_most_that_may_stand_and_be_counted_fits_the_bus() -> None:
    notices = Notices(lambda line: None)
    for n in range(MAX_STANDING + 1):
        notices.stands(f"key {n}", f"{n}" + "\N{SNOWMAN}" * 4000)
    for n in range(MAX_COUNTED + 1):
        notices.count(f"{n}" + "\N{SNOWMAN}" * 4000)
    said = encode(myself("smtpd", notices))
    assert len(said) < 1_000_000
    assert (len(decode(said).standing), len(decode(said).counts)) == (MAX_STANDING, MAX_COUNTED)


def test_the_age_is_that_of_the_process() -> None:
    me = myself("smtpd", None)
    assert me.pid == os.getpid()
    assert 0 < me.seconds <= age_seconds()


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"v": 2}', b'{"v": 1, "role": "x"}', b"[" * 100_000])
def test_what_is_no_such_word_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):
        decode(payload)
