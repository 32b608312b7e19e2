"""QMQP's two netstrings: the example of its description, answers cut anywhere, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.message.qmqp import QmqpError, netstring, parse_answer, render_request


def test_the_example_of_the_description() -> None:
    message = b"From: God@heaven.af.mil\nTo: djb@cr.yp.to\nSubject: hello\n"
    sender, recipients = b"God-DSN-37@heaven.af.mil", [b"djb@silverton.berkeley.edu", b"djb@cr.yp.to"]
    head, tail = render_request(len(message), sender, recipients)
    inner = b"".join(map(netstring, (message, sender, *recipients)))
    assert head + message + tail == netstring(inner)


@given(st.binary(max_size=200), st.integers(0, 220))
def test_an_answer_is_whole_or_more_must_come(text: bytes, cut: int) -> None:
    whole = netstring(b"K" + text)
    if cut < len(whole):
        assert parse_answer(whole[:cut]) is None
    assert parse_answer(whole) == (b"K", text)


@pytest.mark.parametrize("answer", [b"x", b"0:,", b"3:Kok;", b"3:Xok,", b"99999:", b"1234567", b":Kok,"])
def test_what_is_no_answer(answer: bytes) -> None:
    with pytest.raises(QmqpError):
        parse_answer(answer)
