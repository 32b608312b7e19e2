"""The DATA reader against qmail's own state machine, written out byte by byte; and every known way to smuggle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.smtpd.data import DataReader, Verdict


def blast(data: bytes) -> tuple[str, bytes, bytes]:  # noqa: C901, PLR0912 - as qmail has it
    """qmail-smtpd.c's blast: (verdict, text, rest)."""
    state, out = 1, bytearray()
    for at, ch in enumerate(data):
        c = bytes([ch])
        if state in (0, 1, 2) and c == b"\n":
            return "stray", b"", b""
        if state == 0:
            if c == b"\r":
                state = 4
                continue
        elif state == 1:
            if c == b".":
                state = 2
                continue
            if c == b"\r":
                state = 4
                continue
            state = 0
        elif state == 2:
            if c == b"\r":
                state = 3
                continue
            state = 0
        elif state == 3:
            if c == b"\n":
                return "end", bytes(out), data[at + 1 :]
            out += b".\r"
            if c == b"\r":
                state = 4
                continue
            state = 0
        elif c == b"\n":
            state = 1
        elif c != b"\r":
            out += b"\r"
            state = 0
        out += c
    return "more", bytes(out), b""


def hops(data: bytes) -> int:
    """Header lines that begin with received or delivered, as smtpd.c counts them."""
    header = (b"\r\n" + data).split(b"\r\n\r\n", 1)[0]
    return sum(line.lower().startswith((b"received", b"delivered")) for line in header.split(b"\r\n")[1:])


def read(data: bytes, cuts: list[int], limit: int = 0) -> tuple[Verdict, bytes, DataReader]:
    reader = DataReader(limit)
    text, at = b"", 0
    for cut in [*sorted(cuts), len(data)]:
        verdict, part = reader.take(data[at:cut])
        text += part
        at = cut
        if verdict is not Verdict.MORE:
            reader.rest += data[at:]
            return verdict, text, reader
    return Verdict.MORE, text, reader


PIECES = st.sampled_from(
    [
        b"\r",
        b"\n",
        b".",
        b"\r\n",
        b"\r\n.",
        b"\r\n.\r\n",
        b"x",
        b"received",
        b"Delivered-To: y",
        b"\r\n\r\n",
        b"\0",
        b"\xff",
    ]
)


@given(st.lists(PIECES, max_size=30).map(b"".join), st.data())
def test_any_bytes_in_any_cut_read_as_qmail_reads_them(data: bytes, draw: st.DataObject) -> None:
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=6))
    expected, text, rest = blast(data)
    verdict, got, reader = read(data, cuts)
    if expected == "stray":
        # A line feed right after a held-back CR is not yet known; nothing may have ended before it.
        assert verdict is Verdict.STRAY_NEWLINE
    elif expected == "end":
        assert (verdict, got, reader.rest) == (Verdict.END, text, rest)
        assert reader.hops == hops(data[: len(data) - len(rest)])
        assert reader.size_bytes == len(text)
    else:
        assert verdict is Verdict.MORE
        assert text.startswith(got)


@given(
    st.lists(
        st.sampled_from([b"Received: x", b"RECEIVED", b"delivered-to", b"x: received", b".Received", b""]), max_size=8
    )
)
def test_hops_are_counted_the_same_cut_at_every_byte(lines: list[bytes]) -> None:
    data = b"".join(line + b"\r\n" for line in lines) + b".\r\n"
    for cut in range(len(data)):
        assert read(data, [cut])[2].hops == hops(data)


SMUGGLING = [
    (b"\n.\n", Verdict.STRAY_NEWLINE),
    (b"\n.\r\n", Verdict.STRAY_NEWLINE),
    (b"\r\n.\n", Verdict.STRAY_NEWLINE),
    (b"\r.\r", Verdict.MORE),
    (b"\r.\r\n", Verdict.MORE),
    (b"\r\n.\r", Verdict.MORE),
    (b"\r\n\0.\r\n", Verdict.MORE),
    (b"\r\n.\0\r\n", Verdict.MORE),
    (b"\r\n.\r\r\n", Verdict.MORE),
    (b"\r\r\n.\r\r\n", Verdict.MORE),
    (b"\n\r.\r\n", Verdict.STRAY_NEWLINE),
    (b"\r\n.\x85", Verdict.MORE),
    (b"\r\n. \r\n", Verdict.MORE),
    (b"\r\n..\r\n", Verdict.MORE),
    (b"\n\n.\n\n", Verdict.STRAY_NEWLINE),
    (b"\r\n.\r\n", Verdict.END),
]


@pytest.mark.parametrize(("mark", "expected"), SMUGGLING)
def test_only_crlf_dot_crlf_ends_a_message(mark: bytes, expected: Verdict) -> None:
    data = b"Subject: x\r\n\r\nbody" + mark + b"MAIL FROM:<evil@x>\r\n"
    for cut in range(len(data) + 1):
        assert read(data, [cut])[0] is expected, cut


@pytest.mark.parametrize("position", range(len(b"Subject: x\r\n\r\nbo.dy\r\n")))
def test_bare_newline_is_refused_in_every_position(position: int) -> None:
    data = b"Subject: x\r\n\r\nbo.dy\r\n.\r\n"
    spoilt = data[:position] + b"\n" + data[position:]
    if data[position - 1 : position] == b"\r":
        spoilt = data[:position] + b"\n\n" + data[position:]
    assert read(spoilt, [])[0] is Verdict.STRAY_NEWLINE


def test_dots_are_unstuffed_and_bare_cr_kept() -> None:
    verdict, text, _ = read(b"..a\r\n.b\r\n.\rc\r\nd\re\r\n.\r\n", [])
    assert (verdict, text) == (Verdict.END, b".a\nb\n.\rc\nd\re\n")


def test_empty_message() -> None:
    verdict, text, reader = read(b".\r\nQUIT\r\n", [])
    assert (verdict, text, reader.rest) == (Verdict.END, b"", b"QUIT\r\n")


@pytest.mark.parametrize(("limit", "too_big"), [(0, False), (19, True), (20, False), (21, False)])
def test_limit_is_inclusive_and_counts_lf_line_ends(limit: int, too_big: bool) -> None:
    data = b"Subject: x\r\n\r\n1234567\r\n.\r\n"
    for cut in range(len(data)):
        assert read(data, [cut], limit)[2].too_big is too_big


def test_nothing_is_kept_of_a_text_beyond_the_limit() -> None:
    reader = DataReader(10)
    for _ in range(100):
        _, text = reader.take(b"x" * 1000)
        assert text == b""
    assert reader.take(b"\r\n.\r\n") == (Verdict.END, b"")
    assert reader.too_big
