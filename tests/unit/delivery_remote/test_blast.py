"""Dot-stuffing and line ends; nothing in a message can look like its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.delivery.remote.blast import ExactBlaster, PartialLineError, SafeBlaster

LINES = st.lists(st.sampled_from([b".", b"\r", b"\n", b"a", b"\r\n", b"\r.\r", b".\r\n"]), max_size=12)


def blast(blaster: ExactBlaster | SafeBlaster, pieces: list[bytes]) -> bytes:
    return b"".join(map(blaster.feed, pieces)) + blaster.finish()


def unstuff(wire: bytes) -> bytes:
    assert wire.endswith(b".\r\n")
    lines = wire[:-3].split(b"\r\n")
    return b"\n".join(line.removeprefix(b".") for line in lines)


@given(LINES)
def test_any_cut_gives_the_same_bytes(pieces: list[bytes]) -> None:
    message = [*pieces, b"\n"]
    for kind in (ExactBlaster, SafeBlaster):
        assert blast(kind(), message) == blast(kind(), [b"".join(message)])


@given(LINES)
def test_the_end_of_data_occurs_once_however_lax_the_reader(pieces: list[bytes]) -> None:
    wire = b"\r\n" + blast(SafeBlaster(), [*pieces, b"\n"])
    for end in (b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r"):
        position = wire.find(end)
        assert position in (-1, len(wire) - 5, len(wire) - 4), (end, wire)
    assert wire.count(b"\r") == wire.count(b"\n") == wire.count(b"\r\n")


@given(st.lists(st.sampled_from([b".", b"\n", b"a"]), max_size=12))
def test_messages_with_plain_line_ends_arrive_unchanged(pieces: list[bytes]) -> None:
    message = b"".join(pieces) + b"\n"
    assert unstuff(blast(ExactBlaster(), [message])) == message
    assert blast(SafeBlaster(), [message]) == blast(ExactBlaster(), [message])


def test_bare_cr_as_qmail_1_03_and_as_notqmail() -> None:
    message = [b"S: x\n\na\rb\nc\r\n\rd\n"]  # recorded case remote-msg-0334
    assert blast(ExactBlaster(), message) == b"S: x\r\n\r\na\rb\r\nc\r\r\n\rd\r\n.\r\n"
    assert blast(SafeBlaster(), message) == b"S: x\r\n\r\na\r\nb\r\nc\r\n\r\nd\r\n.\r\n"


@pytest.mark.parametrize("message", [b"x", b"a\nb", b"\n.\nx"])
@pytest.mark.parametrize("kind", [ExactBlaster, SafeBlaster])
def test_a_partial_final_line_is_refused(kind: type[ExactBlaster | SafeBlaster], message: bytes) -> None:
    with pytest.raises(PartialLineError):
        blast(kind(), [message])


def test_an_empty_message_is_only_the_dot() -> None:
    assert blast(SafeBlaster(), []) == b".\r\n"
