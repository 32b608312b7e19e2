"""Reading .qmail (dot-qmail(5)); the recorded cases hold the rest."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.delivery.local.plan import (
    Act,
    candidates,
    header_of,
    instructions,
    is_looping,
    new_sender,
    owner_names,
)
from services.delivery.local.refusal import Refusal
from services.delivery.outcome import Kind
from tests.unit.delivery_local.test_job import job


def test_the_files_are_looked_for_from_the_longest_name_to_default() -> None:
    found = [(c.name, c.default) for c in candidates(b"-", b"List.A-b")]
    assert found == [
        (b".qmail-list:a-b", None),
        (b".qmail-list:a-default", b"b"),
        (b".qmail-default", b"List.A-b"),
    ]


@given(st.binary(max_size=60))
def test_no_extension_leads_above_the_home(ext: bytes) -> None:
    for candidate in candidates(b"-", ext):
        assert b".." not in candidate.name
        assert candidate.name.startswith(b".qmail")


@given(st.binary(max_size=300), st.booleans())
def test_any_content_ends_in_instructions_or_a_deferral(content: bytes, forward_only: bool) -> None:
    with contextlib.suppress(Refusal):
        for step in instructions(content, forward_only=forward_only):
            assert b"\0" not in step.argument
            assert not (forward_only and step.act is not Act.FORWARD)


def test_a_doubtful_file_is_never_a_failure_for_good() -> None:
    for content, executable in ((b"\n&x\n", False), (b" \t\n", False), (b"./M/\n", True), (b"|x\n", True)):
        with pytest.raises(Refusal) as caught:
            list(instructions(content, forward_only=executable))
        assert caught.value.kind is Kind.DEFERRAL


def test_what_stands_before_the_wrong_line_is_done_first() -> None:
    steps = instructions(b"&x\n+list\n./Maildir/\n", forward_only=False)
    assert next(steps).argument == b"x"
    with pytest.raises(Refusal):
        next(steps)


@pytest.mark.parametrize(
    ("sender", "owner", "default", "expected"),
    [
        (b"ari@x", False, False, b"ari@x"),
        (b"ari@x", True, False, b"joni-list-a-b-owner@mail.xeris.com"),
        (b"ari@x", True, True, b"joni-list-a-b-owner-@mail.xeris.com-@[]"),
        (b"", True, True, b""),
        (b"#@[]", True, True, b"#@[]"),
    ],
)
def test_the_owner_of_a_list_gets_its_bounces_but_no_bounce_of_a_bounce(
    sender: bytes, owner: bool, default: bool, expected: bytes
) -> None:
    assert new_sender(job(sender=sender), owner=owner, owner_default=default).raw == expected


def test_the_owner_is_looked_for_under_the_whole_extension() -> None:
    assert owner_names(job(ext=b"A.b")) == (b".qmail-a:b-owner", b".qmail-a:b-owner-default")


LINE = b"Delivered-To: joni@xeris.com\n"


@pytest.mark.parametrize(
    ("message", "loops"),
    [
        (LINE + b"\nx", True),
        (b"A: b\n" + LINE + b"\nx", True),
        (b"A: b\n\n" + LINE, False),
        (b"\n" + LINE, False),
        (b"X-" + LINE + b"\n", False),
        (LINE.lower() + b"\n", False),
        (LINE[:-1], False),
    ],
)
def test_a_loop_is_an_equal_line_of_the_header(message: bytes, loops: bool) -> None:
    assert is_looping(header_of(message), LINE) is loops
