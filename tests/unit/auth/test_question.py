from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.accounts import Account
from services.auth.question import MAX_PASSWORD_BYTES, parse_question, render_yes

ASKED = {"user": "ari", "password": "p\xe4ss", "service": "pop3", "ip": "127.0.0.1", "tls": True}


def test_bytes_come_as_latin_1() -> None:
    question = parse_question(json.dumps(ASKED).encode())
    assert question is not None
    assert (question.user, question.password, question.apop) == (b"ari", b"p\xe4ss", False)
    assert "ss" not in repr(question)


@pytest.mark.parametrize(
    "change",
    [
        {"user": ""},
        {"password": ""},
        {"user": None},
        {"password": 5},
        {"user": "\u20ac"},
        {"user": "x" * 300},
        {"password": "x" * (MAX_PASSWORD_BYTES + 1)},
    ],
)
def test_what_is_no_request_is_refused(change: dict[str, object]) -> None:
    assert parse_question(json.dumps({**ASKED, **change}).encode()) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"5", b"{}", b"\xff", b"[" * 10_000, b'{"user":"a"}' + b" " * 20_000])
def test_garbage_is_refused(payload: bytes) -> None:
    assert parse_question(payload) is None


@given(st.binary(max_size=200))
def test_nothing_breaks_the_parser(payload: bytes) -> None:
    parse_question(payload)


def test_yes_names_the_account() -> None:
    answer = json.loads(render_yes(Account(b"ari", 2001, 2002, Path("/home/ari"))))
    assert answer == {"ok": True, "name": "ari", "uid": 2001, "gid": 2002, "home": "/home/ari"}
