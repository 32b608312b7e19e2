"""Answers to SEARCH and SORT: plain and extended (RFC 3501 7.2.5, RFC 4731, RFC 5267, RFC 9394)."""

from __future__ import annotations

from collections.abc import Sequence

from services.imap.grammar.search import Partial, Returns
from services.imap.grammar.sequence import render_set


def render_numbers(verb: bytes, numbers: Sequence[int], modseq: int = 0) -> bytes:
    """`SEARCH 1 2 3`, with a mod-sequence `SEARCH 1 2 3 (MODSEQ 9)`, without `* ` and line end."""
    line = b" ".join((verb, *(b"%d" % number for number in numbers)))
    return line + b" (MODSEQ %d)" % modseq if modseq else line


def render_esearch(tag: bytes, numbers: Sequence[int], returns: Returns, modseq: int = 0, *, uid: bool) -> bytes:
    """`ESEARCH (TAG "a") UID MIN 1 ...`, without `* ` and line end. `numbers` in the order of the result."""
    words = returns.words
    items = [_head(tag, uid=uid)]
    if numbers and b"MIN" in words:
        items.append(b"MIN %d" % numbers[0])
    if numbers and b"MAX" in words:
        items.append(b"MAX %d" % numbers[-1])
    if numbers and b"ALL" in words:
        items.append(b"ALL " + render_set(numbers))
    if returns.partial is not None:
        items.append(_partial(numbers, returns.partial))
    if b"COUNT" in words:
        items.append(b"COUNT %d" % len(numbers))
    if modseq:
        items.append(b"MODSEQ %d" % modseq)
    return b" ".join(items)


def render_update(tag: bytes, verb: bytes, position: int, numbers: Sequence[int], *, uid: bool) -> bytes:
    """`ESEARCH (TAG "a") ADDTO (0 2:3)`: a result has changed (RFC 5267 section 4.3). `position` 0: of no order."""
    return b"%b %b (%d %b)" % (_head(tag, uid=uid), verb, position, render_set(numbers))


def taken(numbers: Sequence[int], partial: Partial) -> Sequence[int]:
    """The part of a result at these places, in its order."""
    if partial.from_end:
        return numbers[max(0, len(numbers) - partial.last) : max(0, len(numbers) - partial.first + 1)]
    return numbers[partial.first - 1 : partial.last]


def _head(tag: bytes, *, uid: bool) -> bytes:
    return b'ESEARCH (TAG "%b")' % tag + (b" UID" if uid else b"")


def _partial(numbers: Sequence[int], partial: Partial) -> bytes:
    sign = b"-" if partial.from_end else b""
    found = render_set(taken(numbers, partial)) or b"NIL"
    return b"PARTIAL (%b%d:%b%d %b)" % (sign, partial.first, sign, partial.last, found)
