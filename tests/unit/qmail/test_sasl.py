from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.door.sasl import MECHANISMS, Challenge, Credentials, Exchange, Fault, Step, decode, parse_plain

ARI = b"\0ari\0aripass"


def said(mechanism: bytes, *lines: bytes | None) -> Step:
    """The step after the last line; None as the first: no initial response."""
    exchange = Exchange(mechanism)
    step = exchange.begin(lines[0])
    for line in lines[1:]:
        assert isinstance(step, Challenge)
        assert line is not None
        step = exchange.answer(line)
    return step


def test_plain_with_and_without_an_initial_response() -> None:
    expected = Credentials("PLAIN", b"ari", b"aripass")
    assert said(b"PLAIN", base64.b64encode(ARI)) == expected
    assert said(b"PLAIN", None, base64.b64encode(ARI) + b" \r") == expected
    assert said(b"PLAIN", None) == Challenge(b"")


def test_login_with_and_without_an_initial_response() -> None:
    expected = Credentials("LOGIN", b"ari", b"aripass")
    assert said(b"LOGIN", None) == Challenge(b"VXNlcm5hbWU6")
    assert said(b"LOGIN", b"YXJp") == Challenge(b"UGFzc3dvcmQ6")
    assert said(b"LOGIN", b"YXJp", b"YXJpcGFzcw==") == said(b"LOGIN", None, b"YXJp", b"YXJpcGFzcw==") == expected
    assert said(b"LOGIN", None, b"", b"=") == Credentials("LOGIN", b"", b"")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_cancelled_and_malformed(mechanism: bytes) -> None:
    assert said(mechanism, None, b"*") is Fault.CANCELLED
    assert said(mechanism, None, b"!") is Fault.MALFORMED
    assert said(mechanism, b"YXJ") is Fault.MALFORMED


def test_no_password_is_in_the_text_form() -> None:
    assert "aripass" not in repr(parse_plain(ARI))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (ARI, Credentials("PLAIN", b"ari", b"aripass")),
        (b"ari" + ARI, Credentials("PLAIN", b"ari", b"aripass")),
        (b"\0ari\0", Credentials("PLAIN", b"ari", b"")),
        (b"other" + ARI, Fault.MALFORMED),
        (b"\0\0pass", Fault.MALFORMED),
        (b"ari\0pass", Fault.MALFORMED),
        (b"\0a\0b\0c", Fault.MALFORMED),
        (b"", Fault.MALFORMED),
    ],
)
def test_plain_messages(message: bytes, expected: Step) -> None:
    assert parse_plain(message) == expected


@pytest.mark.parametrize(
    ("text", "decoded"), [(b"=", b""), (b"", b""), (b"YXJp", b"ari"), (b"YXJ", None), (b"\xff", None), (b"*", None)]
)
def test_base64(text: bytes, decoded: bytes | None) -> None:
    assert decode(text) == decoded


@given(st.sampled_from(MECHANISMS), st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_any_lines_come_to_an_end(mechanism: bytes, lines: list[bytes]) -> None:
    exchange = Exchange(mechanism)
    step = exchange.begin(None)
    for line in lines:
        if not isinstance(step, Challenge):
            break
        step = exchange.answer(line)
