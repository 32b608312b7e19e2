"""SORT, THREAD and the answers of both and of SEARCH."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imap.grammar.cursor import Cursor
from services.imap.grammar.errors import BadSyntax
from services.imap.grammar.search import Returns, parse_search, parse_sort, parse_thread
from services.imap.search.dates import parse_date
from services.imap.search.esearch import render_esearch, render_numbers
from services.imap.search.sort import sort_key, sort_numbers
from services.imap.search.subject import base_subject
from services.imap.search.thread import render_threads, thread_facts, thread_messages
from tests.unit.imap_search.test_search import View


def mailbox(*headers: str) -> list[View]:
    return [
        View(header.encode() + b"\n\n", seq=seq, internaldate=1_000_000 + seq)
        for seq, header in enumerate(headers, start=1)
    ]


def ordered(command: bytes, views: list[View]) -> list[int]:
    criteria = parse_sort(Cursor((command,)), uid=False).criteria
    return sort_numbers(criteria, [(sort_key(criteria, view), view.seq) for view in views])


def threads(algorithm: bytes, views: list[View], *, uid: bool = False) -> bytes:
    facts = [thread_facts(view, uid=uid) for view in views]
    return render_threads(thread_messages(algorithm, facts)).removeprefix(b"THREAD ")


MAILS = mailbox(
    "From: b@x\nSubject: Re: beta\nDate: 3 Jan 2003 10:00 +0000",
    "From: a@y\nSubject: alpha\nDate: 2 Jan 2003 10:00 +0000",
    "From: Z <a@x>\nSubject: Beta\nDate: 1 Jan 2003 10:00 +0000",
    "Subject: =?utf-8?q?Alpha?=",
)


@pytest.mark.parametrize(
    ("criteria", "order"),
    [
        (b"ARRIVAL", [1, 2, 3, 4]),
        (b"REVERSE ARRIVAL", [4, 3, 2, 1]),
        (b"DATE", [4, 3, 2, 1]),  # the fourth by its arrival, in 1970
        (b"FROM", [4, 2, 3, 1]),
        (b"REVERSE FROM", [1, 2, 3, 4]),
        (b"SUBJECT", [2, 4, 1, 3]),
        (b"SUBJECT REVERSE DATE", [2, 4, 1, 3]),
        (b"SUBJECT DATE", [4, 2, 3, 1]),
        (b"DISPLAYFROM", [4, 2, 1, 3]),
        (b"CC", [1, 2, 3, 4]),
        (b"REVERSE CC", [1, 2, 3, 4]),
    ],
)
def test_sort(criteria: bytes, order: list[int]) -> None:
    assert ordered(b"(" + criteria + b") UTF-8 ALL", MAILS) == order


@pytest.mark.parametrize(
    "command",
    [b"", b"(DATE)", b"(DATE) UTF-8", b"() UTF-8 ALL", b"(REVERSE) UTF-8 ALL", b"(X) UTF-8 ALL", b"DATE UTF-8 ALL"],
)
def test_a_bad_sort_is_refused(command: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_sort(Cursor((command,)), uid=False)


@pytest.mark.parametrize("command", [b"", b"X UTF-8 ALL", b"REFERENCES UTF-8", b"REFERENCES"])
def test_a_bad_thread_is_refused(command: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_thread(Cursor((command,)), uid=False)


@pytest.mark.parametrize(
    ("subject", "base"),
    [
        (b"x", ("x", False)),
        (b"Re: x", ("x", True)),
        (b"RE : Fwd: FW: re[2]: x (fwd)", ("x", True)),
        (b"[list] Re: [list] x", ("x", True)),
        (b"[list]", ("[list]", False)),
        (b"[fwd: [fwd: re: x]]", ("x", True)),
        (b"re", ("re", False)),
        (b"=?utf-8?q?Re=3A_x?=", ("x", True)),
        (b" x  y ", ("x y", False)),
        (b"", ("", False)),
    ],
)
def test_base_subject(subject: bytes, base: tuple[str, bool]) -> None:
    assert tuple(base_subject(subject)) == base


def post(identity: str, *references: str, subject: str = "s", day: int = 1) -> str:
    ids = " ".join(f"<{reference}>" for reference in references)
    return f"Message-ID: <{identity}>\nReferences: {ids}\nSubject: {subject}\nDate: {day} Jan 2003 00:00:00 +0000"


def test_threads_by_references() -> None:
    views = mailbox(
        post("a", day=1),
        post("b", "a", day=2, subject="Re: s"),
        post("d", "a", day=4, subject="Re: s"),
        post("c", "a", "b", day=3, subject="Re: s"),
        post("z", day=5, subject="other"),
    )
    assert threads(b"REFERENCES", views) == b"(1 (2 4)(3))(5)"
    assert threads(b"REFERENCES", views, uid=True) == b"(10 (20 40)(30))(50)"
    assert threads(b"ORDEREDSUBJECT", views) == b"(1 (2)(4)(3))(5)"


def test_a_missing_parent_holds_its_children_together() -> None:
    views = mailbox(post("b", "a", subject="p", day=2), post("c", "a", subject="q", day=1))
    assert threads(b"REFERENCES", views) == b"((2)(1))"
    assert threads(b"REFERENCES", views[:1]) == b"(1)"


def test_one_subject_makes_one_thread_without_references() -> None:
    views = mailbox(post("a", day=1), post("b", subject="Re: s", day=2), post("c", day=3))
    assert threads(b"REFERENCES", views[:2]) == b"(1 2)"
    assert threads(b"REFERENCES", [views[0], views[2]]) == b"((1)(3))"
    assert threads(b"REFS", views) == b"(1)(2)(3)"


def test_in_reply_to_serves_where_references_are_missing() -> None:
    views = mailbox(
        post("a", subject="p"), "Message-ID: <b>\nIn-Reply-To: <a>\nSubject: q\nDate: 2 Jan 2003 00:00 +0000"
    )
    assert threads(b"REFERENCES", views) == b"(1 2)"


def test_messages_that_refer_to_each_other_are_no_loop() -> None:
    views = mailbox(post("a", "b", "a", subject="p"), post("b", "a", "b", subject="q"), post("a", "a", subject="r"))
    assert sorted(filter(bytes.isdigit, (bytes((c,)) for c in threads(b"REFERENCES", views)))) == [b"1", b"2", b"3"]


def test_a_thread_of_any_length_can_be_shown() -> None:
    views = mailbox(*(post(f"m{n}", f"m{n - 1}", subject=f"s{n}") for n in range(1, 3000)))
    assert threads(b"REFERENCES", views) == b"(" + b" ".join(b"%d" % n for n in range(1, 3000)) + b")"


IDS = st.sampled_from(["a", "b", "c", "d", "e", "f"])


@given(
    st.lists(
        st.tuples(IDS, st.lists(IDS, max_size=3), st.sampled_from(["s", "Re: s", "t", ""]), st.integers(1, 4)),
        max_size=8,
    ),
    st.sampled_from([b"REFERENCES", b"REFS", b"ORDEREDSUBJECT"]),
)
def test_every_message_is_in_one_thread(posts: list[tuple[str, list[str], str, int]], algorithm: bytes) -> None:
    views = mailbox(*(post(identity, *refs, subject=subject, day=day) for identity, refs, subject, day in posts))
    shown = threads(algorithm, views).replace(b"(", b" ").replace(b")", b" ").replace(b"THREAD", b"").split()
    assert sorted(map(int, shown)) == [view.seq for view in views]


def test_answers() -> None:
    assert render_numbers(b"SEARCH", [1, 3]) == b"SEARCH 1 3"
    assert render_numbers(b"SEARCH", []) == b"SEARCH"
    every = Returns(frozenset((b"MIN", b"MAX", b"ALL", b"COUNT")))
    assert render_esearch(b"a", [2, 3, 7], every, uid=True) == b'ESEARCH (TAG "a") UID MIN 2 MAX 7 ALL 2:3,7 COUNT 3'
    assert render_esearch(b"a", [], every, uid=False) == b'ESEARCH (TAG "a") COUNT 0'
    assert parse_search(Cursor((b"RETURN () ALL",)), uid=False).returns == Returns(frozenset({b"ALL"}))


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (b"Sat, 24 May 2003 06:11:05 +0700", (2003, 5, 24, 6, 11, 5, 7)),
        (b"24 may 03 6:11 EST", (2003, 5, 24, 6, 11, 0, -5)),
        (b"Sat, 24 May\n 2003 06:11:60 -0330 (x)", (2003, 5, 24, 6, 11, 59, -3.5)),
        (b"24 May 2003 06:11:05", (2003, 5, 24, 6, 11, 5, 0)),
        (b"1 Jan 99 00:00:00 GMT", (1999, 1, 1, 0, 0, 0, 0)),
    ],
)
def test_dates(value: bytes, time: tuple[float, ...]) -> None:
    *clock, hours = time
    year, month, day, hour, minute, second = map(int, clock)
    there = timezone(timedelta(hours=hours))
    assert parse_date(value) == datetime(year, month, day, hour, minute, second, tzinfo=there)


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"yesterday", b"31 Feb 2003 00:00:00 +0000", b"1 Jan 0000 00:00:00 +0000", b"1 Jan 2003 25:00:00 GMT"),
        b"1 Jan 2003 " + b"(" * 300,
    ],
)
def test_what_is_no_date(value: bytes) -> None:
    assert parse_date(value) is None


@given(st.binary(max_size=60) | st.text("0123456789:+- JanFebSat,()", max_size=60).map(str.encode))
def test_any_octets_are_a_date_or_none(value: bytes) -> None:
    found = parse_date(value)
    assert found is None or found.tzinfo is not None


def test_a_zone_beyond_a_day_says_nothing_of_the_day() -> None:
    found = parse_date(b"18 Mar 2015 23:25:52 +9999")
    assert found is not None and found.date().isoformat() == "2015-03-18"
