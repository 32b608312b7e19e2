"""Where the header ends."""

from __future__ import annotations

import pytest

from services.inject.fields import Body, EndOfHeader, Field, is_field, known_name, split_message


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        (b"A: b\n\nx\n", [Field(b"A: b\n"), EndOfHeader(), Body(b"\n"), Body(b"x\n")]),
        (b"A: b\n c\nD: e", [Field(b"A: b\n c\n"), Field(b"D: e\n"), EndOfHeader()]),
        (b"A: b\nno field\n", [Field(b"A: b\n"), EndOfHeader(), Body(b"\n"), Body(b"no field\n")]),
        (b"From x y\nA: b\n", [Field(b"MBOX-Line: From x y\n"), Field(b"A: b\n"), EndOfHeader()]),
        (b"\nA: b\n", [EndOfHeader(), Body(b"\n"), Body(b"A: b\n")]),
        (b"", [EndOfHeader()]),
    ],
)
def test_messages(message: bytes, parts: list[Field | EndOfHeader | Body]) -> None:
    assert list(split_message(message.splitlines(keepends=True))) == parts


def test_names() -> None:
    assert known_name(b"rEPLY-tO \t: x\n") == b"reply-to"
    assert known_name(b"X-Mailer: x\n") == b""
    assert is_field(b"X y: z\n") is False
    assert is_field(b" : z\n") is False
    assert is_field(b"x:\n") is True
