"""Tokens of header fields: whatever is read is written back as the same tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inject.tokens import (
    LINE_LENGTH,
    Kind,
    ParseError,
    Token,
    parse_tokens,
    unparse_tokens,
    unquote_tokens,
)

TEXT = st.lists(
    st.sampled_from([b"a", b" ", b"\n ", b".", b",", b"@", b"<", b">", b":", b";", b'"', b"(", b")", b"[", b"]"])
    | st.sampled_from([b"\\x", b'\\"', b"\xe9", b"word", b"(c)", b'"q q"', b"[1.2.3.4]"]),
    max_size=14,
).map(b"".join)


@given(TEXT)
def test_writing_and_reading_again_changes_nothing(text: bytes) -> None:
    try:
        tokens = parse_tokens(text)
    except ParseError:
        return
    assert parse_tokens(unparse_tokens(tokens)) == tokens


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_folded_lines_stay_within_80_columns_where_items_allow(lengths: list[int]) -> None:
    tokens = [Token(Kind.ATOM, b"To"), Token(Kind.COLON, b":")]
    for length in lengths:
        tokens += [Token(Kind.ATOM, b"x" * length), Token(Kind.COMMA, b",")]
    lines = unparse_tokens(tokens[:-1]).split(b"\n")
    assert lines.pop() == b""
    assert all(len(line) <= LINE_LENGTH for line in lines)
    assert all(line.endswith(b",") for line in lines[:-1])


@pytest.mark.parametrize("text", [b"(", b'"', b"[", b")", b"]", b'"a\\', b"(a (b)"])
def test_what_is_not_closed_is_refused(text: bytes) -> None:
    with pytest.raises(ParseError):
        parse_tokens(text)


def test_envelope_addresses_have_no_quotes_and_no_comments() -> None:
    assert unquote_tokens(parse_tokens(b'(x) "a b"@[1.2.3.4] (y)')) == b"a b@[1.2.3.4]"
