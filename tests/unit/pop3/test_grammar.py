from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.pop3.grammar import MAX_LINE_BYTES, Command, Lines, LineTooLong, parse_command, scan_number


def lines_of(*pieces: bytes) -> list[bytes | None]:
    lines = Lines()
    found: list[bytes | None] = []
    for piece in pieces:
        lines.feed(piece)
        while (line := lines.next()) is not None:
            found.append(None if isinstance(line, LineTooLong) else line)
    return found


def test_lines_end_with_lf_and_lose_one_cr() -> None:
    assert lines_of(b"a\r\nb\nc\r\r\n\r\n\nd") == [b"a", b"b", b"c\r", b"", b""]


def test_a_nul_ends_a_line_for_qmail_alone() -> None:
    assert parse_command(b"user ari\0x", classic=True) == Command(b"user", b"ari")
    assert parse_command(b"user ari\0x", classic=False) == Command(b"user", b"ari\0x")


def test_all_that_follows_pass_and_a_blank_is_the_password() -> None:
    assert parse_command(b"PASS  a b ", classic=False) == Command(b"pass", b" a b ")
    assert parse_command(b"PASS  a b ", classic=True) == Command(b"pass", b"a b ")


def test_a_line_too_long_is_reported_once_and_the_next_is_read() -> None:
    assert lines_of(b"x" * (MAX_LINE_BYTES + 1) + b"\nquit\n") == [None, b"quit"]
    assert lines_of(*[b"x" * 1000] * 50, b"\nquit\n") == [None, b"quit"]


def test_a_line_that_never_ends_is_not_kept() -> None:
    lines = Lines()
    for _ in range(100):
        lines.feed(b"x" * 4096)
        assert lines.next() is None
        assert len(lines._buffer) <= MAX_LINE_BYTES + 4096


@given(st.lists(st.binary(max_size=30)), st.integers(0, 200))
def test_the_cut_of_the_stream_does_not_matter(pieces: list[bytes], at: int) -> None:
    whole = b"".join(pieces)
    assert lines_of(*pieces) == lines_of(whole) == lines_of(whole[:at], whole[at:])


def test_commands_are_cut_at_the_first_blank() -> None:
    assert parse_command(b"USER  ari x ", classic=False) == Command(b"user", b"ari x ")
    assert parse_command(b"STAT ", classic=False) == Command(b"stat", b"")
    assert parse_command(b"", classic=False) == Command(b"", b"")


def test_numbers_wrap_at_the_word_size_like_scan_ulong() -> None:
    assert scan_number(b"1x 2") == (1, b"x 2")
    assert scan_number(b"18446744073709551617") == (1, b"")
    assert scan_number(b"-1") == (None, b"-1")
    assert scan_number(b"9" * 8000)[0] == int("9" * 64) % 2**64


@given(st.integers(0, 10**100))
def test_only_the_last_digits_count(number: int) -> None:
    assert scan_number(b"%d" % number) == (number % 2**64, b"")
