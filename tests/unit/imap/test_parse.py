"""Commands, sets, names, dates: what is taken and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imap.commands import COMMANDS
from services.imap.grammar import mutf7
from services.imap.grammar.command import Bad, parse_before_message, parse_command
from services.imap.grammar.connection import Authenticate, Login
from services.imap.grammar.dates import parse_date_time, render_date_time
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.fetch import Body, Plain
from services.imap.grammar.folders import Append, Create, List, Rename, Select, Status
from services.imap.grammar.messages import Fetch, Store, ToMailbox
from services.imap.grammar.patterns import compile_pattern
from services.imap.grammar.search import Returns, Search
from services.imap.grammar.sequence import (
    STAR,
    SequenceSet,
    parse_sequence_set,
    positions_of_uids,
    render_set,
    sequence_numbers,
)
from services.imap.grammar.tokens import Atom, String
from services.imap.message import SectionSpec
from tests.support.imap_commands import request

ONE = SequenceSet(((1, 1),))


def one(text: bytes, *rest: bytes) -> tuple[bytes, Any]:
    """A command's name and arguments."""
    wanted = request(text, *rest)
    return wanted.command.name, wanted.arguments


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        (b"a capability", b"CAPABILITY", None),
        (b"a NOOP ", b"NOOP", None),
        (b'a LOGIN joni "ra\\"hasia"', b"LOGIN", Login(b"joni", b'ra"hasia')),
        (b"a select inbox", b"SELECT", Select(b"INBOX")),
        (b"a EXAMINE InBox.Kerja", b"EXAMINE", Select(b"INBOX.Kerja")),
        (b"a RENAME INBOX.a INBOX.b", b"RENAME", Rename(b"INBOX.a", b"INBOX.b")),
        (b'a LIST "" *', b"LIST", List(b"", (b"*",))),
        (b'a LIST "" ~foo', b"LIST", List(b"", (b"~foo",))),
        (
            b'a LIST (SUBSCRIBED) "" (a% b*) RETURN (CHILDREN STATUS (MESSAGES))',
            b"LIST",
            List(b"", (b"a%", b"b*"), (b"SUBSCRIBED",), (b"CHILDREN", b"STATUS"), (b"MESSAGES",)),
        ),
        (b"a STATUS inbox (messages unseen)", b"STATUS", Status(b"INBOX", (b"MESSAGES", b"UNSEEN"))),
        (b"a UID EXPUNGE 3:4", b"UID EXPUNGE", SequenceSet(((3, 4),))),
        (
            b"a UID STORE 1 +flags.silent (\\Seen)",
            b"UID STORE",
            Store(SequenceSet(((1, 1),)), True, b"+", True, (b"\\Seen",)),
        ),
        (
            b"a STORE 1 FLAGS \\Seen Kerja",
            b"STORE",
            Store(ONE, False, b"", False, (b"\\Seen", b"Kerja")),
        ),
        (b"a SEARCH OR (SEEN) NIL", b"SEARCH", Search(keys=(Atom(b"OR"), (Atom(b"SEEN"),), Atom(b"NIL")), uid=False)),
        (
            b"a UID SEARCH RETURN () ALL",
            b"UID SEARCH",
            Search(keys=(Atom(b"ALL"),), uid=True, returns=Returns(frozenset((b"ALL",)))),
        ),
        (b"a AUTHENTICATE plain AGEAYg==", b"AUTHENTICATE", Authenticate(b"PLAIN", b"AGEAYg==")),
        (b'a ID ("name" "mutt" "x" NIL)', b"ID", ((b"name", b"mutt"), (b"x", b""))),
        (b"a CREATE INBOX.Sent (USE (\\Sent))", b"CREATE", Create(b"INBOX.Sent", (b"\\sent",))),
        (b"a UID MOVE 1:* INBOX.x", b"UID MOVE", ToMailbox(SequenceSet(((1, STAR),)), True, b"INBOX.x")),
    ],
)
def test_command(text: bytes, name: bytes, arguments: Any) -> None:
    assert one(text) == (name, arguments)


def test_literals_stand_for_strings() -> None:
    assert one(b"a LOGIN ", b"jo\r\nni", b" ", b"x", b"") == (b"LOGIN", Login(b"jo\r\nni", b"x"))
    assert one(b"a SEARCH SUBJECT ", b"(", b" UNSEEN") == (
        b"SEARCH",
        Search(keys=(Atom(b"SUBJECT"), String(b"("), Atom(b"UNSEEN")), uid=False),
    )


def test_fetch_items() -> None:
    _, fetch = one(b'a FETCH 1 (UID BODY.PEEK[1.2.HEADER.FIELDS (From "X Y")]<10.20> rfc822.size BODY[TEXT])')
    assert fetch.items == (
        Plain(b"UID"),
        Body(
            SectionSpec((1, 2), "HEADER.FIELDS", (b"From", b"X Y")),
            b'BODY[1.2.HEADER.FIELDS (From "X Y")]<10>',
            True,
            (10, 20),
        ),
        Plain(b"RFC822.SIZE"),
        Body(SectionSpec((), "TEXT", ()), b"BODY[TEXT]", False),
    )
    assert isinstance(one(b"a FETCH 1 FAST")[1], Fetch)


@pytest.mark.parametrize(
    "text",
    [
        b"a", b"a ", b"a FOO", b"a LOGIN", b"a LOGIN x", b"a LOGIN x y z", b'a LOGIN "x y', b"a SELECT",
        b"a FETCH 0 UID",
        b"a FETCH 1 BODY[", b"a FETCH 1 BODY[0]", b"a FETCH 1 BODY[MIME]", b"a FETCH 1 BODY[1.]", b"a FETCH 1 (UID",
        b"a FETCH 1:4294967296 UID", b"a FETCH 1, UID", b"a FETCH 1 BODY[]<0.0>", b"a STORE 1 FLAG \\Seen",
        b"a STATUS INBOX ()", b"a STATUS INBOX (NONSENSE)", b"a NOOP x", b"a UID NOOP", b"a SEARCH", b"a SEARCH (SEEN",
        b"a SEARCH " + b"(" * 200 + b"SEEN" + b")" * 200, b"a LIST", b'a LIST (RECURSIVEMATCH) "" *',
        b"a APPEND INBOX x",
        b"a ID (x y)", b"a LOGIN \xff y", b"a CREATE INBOX.\x80", b"a UID",
    ],
)  # fmt: skip
def test_refused(text: bytes) -> None:
    assert isinstance(parse_command((text,), COMMANDS), Bad)


@pytest.mark.parametrize("text", [b"", b"+ NOOP", b"* NOOP", b"\x00", b"(a NOOP", b"x" * 300 + b" NOOP"])
def test_without_a_tag_there_is_nobody_to_answer(text: bytes) -> None:
    assert parse_command((text,), COMMANDS) == Bad(None, "no tag")


@given(st.binary(max_size=60))
def test_any_bytes_give_a_command_or_bad(text: bytes) -> None:
    for verb in (b"", b"a FETCH 1 ", b"a SEARCH ", b"a LIST ", b"a STORE ", b"a ID "):
        assert isinstance(parse_command((verb + text,), COMMANDS), (Bad, tuple))


def test_append_head_waits_for_the_mailbox_and_then_knows_the_message() -> None:
    assert parse_before_message((b"a APPEND ",), COMMANDS) is None
    assert parse_before_message((b"a LOGIN x ",), COMMANDS) is None
    head = parse_before_message((b"a append ", b"inbox", b' (\\Seen) " 7-Jul-1996 02:44:25 -0700" '), COMMANDS)
    assert head == (COMMANDS[b"APPEND"], Append(b"INBOX", (b"\\Seen",), 836732665))
    with pytest.raises(BadSyntax):
        parse_before_message((b"a APPEND INBOX (",), COMMANDS)


def test_sets() -> None:
    assert parse_sequence_set(b"5:3,7,9:*").resolved(12) == [(3, 5), (7, 7), (9, 12)]
    assert parse_sequence_set(b"20:*").resolved(12) == [(12, 20)]
    assert sequence_numbers(parse_sequence_set(b"3:1"), 3) == [1, 2, 3]
    assert sequence_numbers(parse_sequence_set(b"4"), 3) is None
    assert sequence_numbers(parse_sequence_set(b"1:*"), 0) == []
    assert positions_of_uids(parse_sequence_set(b"1:5,100,*"), [2, 4, 9]) == [0, 1, 2]
    assert render_set([1, 2, 3, 9, 8]) == b"1:3,9,8"


def test_a_huge_set_costs_nothing() -> None:
    assert positions_of_uids(parse_sequence_set(b"1:4294967295"), [7]) == [0]


@given(st.text(max_size=30))
def test_names_go_through_modified_utf7_and_back(text: str) -> None:
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert mutf7.decode(mutf7.encode(text)) == text


@pytest.mark.parametrize(
    ("name", "text"), [(b"Surat &AOk-", "Surat é"), (b"a&-b", "a&b"), (b"&", None), (b"&AO-", None), (b"\xe9", None)]
)
def test_modified_utf7(name: bytes, text: str | None) -> None:
    assert mutf7.decode(name) == text


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        (b"*", b"INBOX.a.b", True),
        (b"%", b"INBOX", True),
        (b"%", b"INBOX.a", False),
        (b"inbox.%", b"INBOX.a", True),
        (b"INBOX.%", b"INBOX.a.b", False),
        (b"INBOX.a%b*c", b"INBOX.axb.c", True),
        (b"inb*", b"INBOX", False),
    ],
)
def test_patterns(pattern: bytes, name: bytes, matches: bool) -> None:
    compiled = compile_pattern(b"", pattern)
    assert compiled is not None and bool(compiled.match(name)) == matches


def test_a_pattern_made_to_cost_time_matches_nothing() -> None:
    assert compile_pattern(b"", b"*a" * 500) is None


@given(
    st.text("ab.*%", max_size=12),
    st.text("ab.", max_size=12),
)
def test_a_pattern_means_what_the_same_regular_expression_means(pattern: str, name: str) -> None:
    compiled = compile_pattern(b"", pattern.encode())
    assert compiled is not None
    expression = "".join({".": r"\.", "*": ".*", "%": "[^.]*"}.get(one, one) for one in pattern)
    assert compiled.match(name.encode()) == bool(re.fullmatch(expression, name))


class CountedName(bytes):
    """A name that counts how often it is looked at."""

    looks = 0

    def startswith(self, *arguments: Any) -> bool:
        self.looks += 1
        return super().startswith(*arguments)

    def find(self, *arguments: Any) -> int:
        self.looks += 1
        return super().find(*arguments)


@pytest.mark.parametrize("piece", [b"a*", b"a%"])
@pytest.mark.parametrize("wildcards", [4, 19])
def test_a_pattern_looks_at_no_place_of_a_name_twice_for_the_same_piece(piece: bytes, wildcards: int) -> None:
    name = CountedName(b"a" * 60)
    compiled = compile_pattern(b"", b"*" + piece * wildcards + b"b")
    assert compiled is not None and not compiled.match(name)
    assert 0 < name.looks <= (2 * wildcards + 2) * (len(name) + 1)


def test_a_list_has_a_bound_on_its_patterns() -> None:
    assert not isinstance(parse_command((b'a LIST "" (' + b" ".join([b"x*"] * 50) + b")",), COMMANDS), Bad)
    assert isinstance(parse_command((b'a LIST "" (' + b" ".join([b"x*"] * 51) + b")",), COMMANDS), Bad)


def test_dates() -> None:
    assert render_date_time(836732665) == b'"07-Jul-1996 09:44:25 +0000"'
    for text in (b"1-Xyz-2004 00:00:00 +0000", b"01-Jan-2004", b"18-Mar-2015 11:25:52", b"18-Mar-15 11:25:52 +0000"):
        with pytest.raises(BadSyntax):
            parse_date_time(text)
    assert render_date_time(2**62) == b'"01-Jan-1970 00:00:00 +0000"'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"18-Mar-2015 11:25:52 -0400", 1426692352),
        (b"18-Mar-2015 11:25:52 --400", 1426677952),
        (b"18-Mar-2015 11:25:52 +400", 1426677952),
        (b"18-Mar-2015 11:25:52 EST", 1426677952),
        (b"18-Mar-2015 11:25:52 ", 1426677952),
        (b"8-Mar-2015 11:25:52 +0000 x", 1425813952),
        (b"18-Mar-2015 23:59:60 +0000", 1426723199),
        (b"31-Feb-2015 11:25:52 +0000", None),
        (b"18-Mar-2015 24:00:00 +0000", None),
        (b"01-Jan-0000 00:00:00 +0000", None),
    ],
)
def test_dates_beside_the_grammar_are_read_as_dovecot_reads_them(text: bytes, seconds: int | None) -> None:
    """By Dovecot 2.3.19.1, which stores a message whose date no calendar has with that of now."""
    assert parse_date_time(text) == seconds
