"""Arguments of SEARCH, SORT and THREAD (RFC 3501 section 6.4.4, RFC 4731, RFC 5182, RFC 5256, RFC 5267, RFC 5957, RFC
9394)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.tokens import Token

_RETURNS = frozenset((b"MIN", b"MAX", b"ALL", b"COUNT", b"SAVE", b"CONTEXT", b"UPDATE", b"PARTIAL"))
_PARTIAL = re.compile(rb"(-?)([1-9][0-9]{0,9}):(-?)([1-9][0-9]{0,9})")
# Of tags in one CANCELUPDATE.
MAX_TAGS = 100
CRITERIA = frozenset((b"ARRIVAL", b"CC", b"DATE", b"DISPLAYFROM", b"DISPLAYTO", b"FROM", b"SIZE", b"SUBJECT", b"TO"))
ALGORITHMS = frozenset((b"ORDEREDSUBJECT", b"REFERENCES", b"REFS"))
# Each is a pass over all that was found.
MAX_CRITERIA = 20

#: A criterion's name, and whether its order is reversed.
Criterion = tuple[bytes, bool]


@dataclass(frozen=True, slots=True)
class Partial:
    """Places in a result, the first is 1, both ends within; `from_end`: counted from its end."""

    first: int
    last: int
    from_end: bool = False


@dataclass(frozen=True, slots=True)
class Returns:
    """Result options. `partial` goes with the word PARTIAL."""

    words: frozenset[bytes]
    partial: Partial | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """`keys` stay tokens (`services.imap.search.parse`); `charset` is that of their texts as sent, empty: not said;
    `returns`: None for the plain answer, else result options (RFC 4731)."""

    keys: tuple[Token, ...]
    uid: bool
    charset: bytes = b""
    returns: Returns | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort(Search):
    """RFC 5256 section 3."""

    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread(Search):
    """RFC 5256 section 3."""

    algorithm: bytes


def parse_search(cursor: Cursor, *, uid: bool) -> Search:
    """Raises BadSyntax."""
    returns = _parse_returns(cursor)
    charset = b""
    if cursor.skip(b"CHARSET "):
        charset = cursor.astring()
        cursor.space()
    return Search(keys=_parse_keys(cursor), uid=uid, charset=charset, returns=returns)


def parse_sort(cursor: Cursor, *, uid: bool) -> Sort:
    """Raises BadSyntax."""
    returns = _parse_returns(cursor)
    criteria = _parse_criteria(cursor.words())
    cursor.space()
    charset = cursor.astring()
    cursor.space()
    return Sort(criteria=criteria, keys=_parse_keys(cursor), uid=uid, charset=charset, returns=returns)


def parse_thread(cursor: Cursor, *, uid: bool) -> Thread:
    """Raises BadSyntax."""
    algorithm = cursor.word()
    if algorithm not in ALGORITHMS:
        raise BadSyntax("unknown thread algorithm")
    cursor.space()
    charset = cursor.astring()
    cursor.space()
    return Thread(algorithm=algorithm, keys=_parse_keys(cursor), uid=uid, charset=charset)


def parse_tags(cursor: Cursor) -> tuple[bytes, ...]:
    """CANCELUPDATE's (RFC 5267 section 4.3.5). Raises BadSyntax."""
    tags = [cursor.string()]
    while not cursor.at_end():
        cursor.space()
        tags.append(cursor.string())
        if len(tags) > MAX_TAGS:
            raise BadSyntax("too many tags")
    return tuple(tags)


def _parse_returns(cursor: Cursor) -> Returns | None:
    if not cursor.skip(b"RETURN "):
        return None
    cursor.expect(b"(")
    words: set[bytes] = set()
    partial = None
    while not cursor.skip(b")"):
        if words:
            cursor.space()
        word = cursor.word()
        if word not in _RETURNS or word in words:
            raise BadSyntax("unknown or repeated result option")
        if word == b"PARTIAL":
            cursor.space()
            partial = parse_partial(cursor)
        words.add(word)
    if words >= {b"ALL", b"PARTIAL"}:
        raise BadSyntax("ALL and PARTIAL exclude each other")
    cursor.space()
    return Returns(frozenset(words or (b"ALL",)), partial)


def parse_partial(cursor: Cursor) -> Partial:
    """`1:500`, or `-1:-500` from the end (RFC 9394 section 3.1). Raises BadSyntax."""
    found = _PARTIAL.fullmatch(cursor.match(_PARTIAL, "a range"))
    assert found is not None
    if found[1] != found[3]:
        raise BadSyntax("both ends of a range are counted from the same side")
    ends = sorted((int(found[2]), int(found[4])))
    if ends[1] >= 2**32:
        raise BadSyntax("number too large")
    return Partial(ends[0], ends[1], bool(found[1]))


def _parse_keys(cursor: Cursor) -> tuple[Token, ...]:
    keys = cursor.tokens()
    if not keys:
        raise BadSyntax("nothing to search for")
    return keys


def _parse_criteria(words: tuple[bytes, ...]) -> tuple[Criterion, ...]:
    found: list[Criterion] = []
    reverse = False
    for word in words:
        if word == b"REVERSE" and not reverse:
            reverse = True
            continue
        if word not in CRITERIA:
            raise BadSyntax("unknown sort criterion")
        found.append((word, reverse))
        reverse = False
    if not found or reverse:
        raise BadSyntax("missing sort criterion")
    if len(found) > MAX_CRITERIA:
        raise BadSyntax("too many sort criteria")
    return tuple(found)
