"""What is common is read in one step; it must be read as the words one by one would be."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from services.imap.message.header import fields, unfold
from services.imap.message.params import _content_type, _strange_type
from services.imap.message.text import Text

_PIECES = st.lists(
    st.sampled_from(
        [
            b"text",
            b"/",
            b"plain",
            b";",
            b" ",
            b"\t",
            b"\r\n ",
            b"charset",
            b"=",
            b'"',
            b"utf-8",
            b"a b",
            b"(x)",
            b"\\",
            b"*0",
            b"*",
            b"\xe9",
            b"<",
        ]
    ),
    max_size=14,
).map(b"".join)


@given(_PIECES)
@example(b' text/plain; charset="utf-8"; format=flowed;')
@example(b"a/b;x*0=1;x*1=2")
@example(b'a/b; name=""')
def test_a_simple_content_type_is_what_its_words_say(value: bytes) -> None:
    assert _content_type(value) == _strange_type(value)


@given(st.lists(st.sampled_from([b"a", b" ", b"  ", b"\t", b"\r\n ", b"\n"]), max_size=10).map(b"".join))
def test_unfolding_leaves_one_blank_for_many(value: bytes) -> None:
    assert unfold(value) == b" ".join(word for word in value.replace(b"\t", b" ").split() if word)


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n"]), max_size=30).map(b"".join), st.data())
def test_a_range_is_measured_as_it_is_served(data: bytes, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    text = Text(data)
    assert text.measure(start, end) == (text.size(start, end), text.lines(start, end))


def test_a_large_header_is_cut_as_a_small_one() -> None:
    line = b"X-A: 1\n b\n"
    assert fields(line * 2000, 0, 20_000) == fields(line, 0, 10) * 2000
    assert len(fields(line * 2000, 0, 20_000, 7)) == 7
