from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.pop3.wire import WireForm

MAIL = b"Subject: x\n.y: z\n\none\n.two\n..three\nlast\n"


def wired(data: bytes, step: int = 10**9, **options: object) -> bytes:
    wire = WireForm(**options)  # type: ignore[arg-type]
    pieces = [wire.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join([*pieces, wire.end()])


def unwired(data: bytes) -> bytes:
    """What a client makes of it (RFC 1939 section 3)."""
    lines = data.split(b"\r\n")
    assert lines.pop() == b""
    assert b"." not in lines
    return b"".join(line.removeprefix(b".") + b"\n" for line in lines)


def test_dots_are_doubled_and_lines_end_with_crlf() -> None:
    assert wired(MAIL) == b"Subject: x\r\n..y: z\r\n\r\none\r\n..two\r\n...three\r\nlast\r\n"


def test_a_partial_last_line_is_ended() -> None:
    assert wired(b"a: b\n\nend") == b"a: b\r\n\r\nend\r\n"
    assert wired(b"") == b""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(0, b""), (1, b"one\r\n"), (2, b"one\r\n..two\r\n"), (9, b"one\r\n..two\r\n...three\r\nlast\r\n")],
)
def test_top_gives_the_header_and_so_many_lines(lines: int, expected: bytes) -> None:
    for step in range(1, len(MAIL) + 1):
        assert wired(MAIL, step, body_lines=lines) == b"Subject: x\r\n..y: z\r\n\r\n" + expected


def test_stored_crlf_is_one_line_end_but_not_for_qmail_pop3d() -> None:
    stored = b"a: b\r\n\r\n.c\r\rd\r\n\r"
    for step in range(1, len(stored) + 1):
        assert wired(stored, step) == b"a: b\r\n\r\n..c\r\rd\r\n\r\r\n"
        assert wired(stored, step, as_stored=True) == b"a: b\r\r\n\r\r\n..c\r\rd\r\r\n\r\r\n"


def test_a_piece_that_ends_in_cr_after_what_top_wants_adds_no_line() -> None:
    stored = b"a: b\r\n\r\none\r\ntwo\r\nrest\r"
    for step in range(1, len(stored) + 1):
        assert wired(stored, step, body_lines=1) == b"a: b\r\n\r\none\r\n"


@given(st.lists(st.sampled_from([b"\n", b".", b"a", b"\n.", b"\n\n"])).map(b"".join), st.integers(1, 9))
def test_a_client_reads_what_is_stored_however_the_pieces_are_cut(data: bytes, step: int) -> None:
    stored = data if not data or data.endswith(b"\n") else data + b"\n"
    assert unwired(wired(data, step)) == stored
    assert wired(data, step, body_lines=2) == wired(data, body_lines=2)


def test_memory_does_not_grow_with_a_line_without_end() -> None:
    wire = WireForm(body_lines=1)
    piece = b"x" * 65536
    assert all(wire.feed(piece) == piece for _ in range(50))
