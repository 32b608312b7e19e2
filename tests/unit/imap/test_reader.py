"""Bytes to commands: any split, literals of both kinds, and every bound."""

from __future__ import annotations

import pytest

from services.imap.grammar.reader import (
    MAX_COMMAND_BYTES,
    MAX_LINE_BYTES,
    Announced,
    Chunk,
    CommandReader,
    Complete,
    Event,
    TooLong,
)

DIALOGUE = (
    b'a NOOP\r\nb LOGIN {4}\r\njoni {7+}\r\nrahasia\r\nc LIST "" "{3}"\r\n'
    b"d NOOP\ne APPEND x {3+}\r\n\r\n\0\r\nf NOOP\r\n"
)


def read_all(pieces: list[bytes], stream: bytes = b"APPEND") -> list[Event]:
    reader, events = CommandReader(), []
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next()) is not None:
            events.append(event)
            if isinstance(event, Announced):
                reader.stream_literal() if stream in event.parts[0] else reader.accept_literal()
    return events


def commands(events: list[Event]) -> list[tuple[bytes, ...]]:
    return [event.parts for event in events if isinstance(event, Complete)]


def test_commands_are_the_same_however_the_bytes_are_split() -> None:
    whole = read_all([DIALOGUE])
    expected = [
        (b"a NOOP",),
        (b"b LOGIN ", b"joni", b" ", b"rahasia", b""),
        (b'c LIST "" "{3}"',),
        (b"d NOOP",),
        (b"",),
        (b"f NOOP",),
    ]
    assert commands(whole) == expected
    for cut in range(1, len(DIALOGUE)):
        assert commands(read_all([DIALOGUE[:cut], DIALOGUE[cut:]])) == expected
    single = read_all([bytes([octet]) for octet in DIALOGUE])
    assert commands(single) == expected
    assert b"".join(event.data for event in single if isinstance(event, Chunk)) == b"\r\n\0"


def test_a_line_beyond_the_bound_is_dropped_and_the_next_command_is_read() -> None:
    reader = CommandReader()
    for _ in range(MAX_LINE_BYTES // 1000 + 2):
        reader.feed(b"x" * 1000)
        event = reader.next()
        if event is not None:
            break
    assert isinstance(event, TooLong)
    reader.feed(b"y" * 5_000_000)
    assert reader.next() is None
    assert len(reader._buffer) < 100
    reader.feed(b"\r\na NOOP\r\n")
    assert reader.next() == Complete((b"a NOOP",))


@pytest.mark.parametrize("size", [10, 70_000])
def test_a_refused_non_synchronising_literal_is_swallowed_with_its_command(size: int) -> None:
    reader = CommandReader()
    reader.feed(b"a LOGIN {%d+}\r\n" % size)
    assert isinstance(reader.next(), Announced)
    reader.refuse_literal()
    reader.feed(b"b" * (size - 1))
    assert reader.next() is None
    reader.feed(b"b {3+}\r\nabc x\r\nc NOOP\r\n")
    assert reader.next() == Complete((b"c NOOP",))


def test_a_refused_synchronising_literal_ends_the_command_at_once() -> None:
    reader = CommandReader()
    reader.feed(b"a LOGIN {99999}\r\nb NOOP\r\n")
    assert reader.next() == Announced((b"a LOGIN ",), 99999, True)
    reader.refuse_literal()
    assert reader.next() == Complete((b"b NOOP",))


@pytest.mark.parametrize("size", [60_000, 100, 1, 0])
def test_many_literals_cannot_add_up_beyond_the_bound(size: int) -> None:
    reader = CommandReader()
    reader.feed(b"a SEARCH")
    for _ in range(5000):
        reader.feed(b"{%d+}\r\n" % size)
        event = reader.next()
        assert isinstance(event, Announced | TooLong)
        assert len(event.parts) <= 3, "nobody copies all that came before at each literal"
        if isinstance(event, TooLong) or not reader.fits(event):
            break
        reader.accept_literal()
        reader.feed(b"x" * size)
    else:
        pytest.fail("the command has no end")
    assert sum(len(part) + 100 for part in reader._parts) <= MAX_COMMAND_BYTES


def test_a_command_with_many_messages_holds_none_of_what_came_before() -> None:
    reader = CommandReader()
    reader.feed(b"a APPEND x {1+}\r\n")
    for _ in range(5000):
        assert isinstance(reader.next(), Announced)
        reader.stream_literal()
        reader.feed(b"x (\\Seen) {1+}\r\n")
        assert reader.next() == Chunk(b"x", True)
    event = reader.next()
    assert isinstance(event, Announced) and event.parts == (b" (\\Seen) ",)
    assert len(reader._parts) == 1


def test_many_long_lines_joined_by_small_literals_cannot_add_up_either() -> None:
    reader = CommandReader()
    for _ in range(10):
        reader.feed(b"a" * 60000 + b"{1+}\r\n")
        event = reader.next()
        if isinstance(event, TooLong):
            break
        assert isinstance(event, Announced)
        reader.accept_literal()
        reader.feed(b"b")
    assert isinstance(event, TooLong)
    reader.feed(b"b rest\r\nc NOOP\r\n")
    assert reader.next() == Complete((b"c NOOP",))


def test_a_line_at_the_bound_is_taken_or_dropped_however_it_is_cut() -> None:
    for length in range(MAX_LINE_BYTES - 2, MAX_LINE_BYTES + 5):
        data = b"x" * length + b"\r\nb\r\n"
        whole, in_two = CommandReader(), CommandReader()
        whole.feed(data)
        events = [whole.next(), whole.next()]
        in_two.feed(data[: MAX_LINE_BYTES + 1])
        first = in_two.next()
        in_two.feed(data[MAX_LINE_BYTES + 1 :])
        first = first or in_two.next()
        assert [first, in_two.next()] == events == [events[0], Complete((b"b",))]


def test_a_dropped_line_with_thousands_of_unasked_literals_is_dropped_to_its_end() -> None:
    reader = CommandReader()
    reader.feed(b"a" * (MAX_LINE_BYTES + 5))
    assert isinstance(reader.next(), TooLong)
    reader.feed(b"{0+}\r\n" * 5000 + b"end\r\nb NOOP\r\n")
    assert reader.next() == Complete((b"b NOOP",))
