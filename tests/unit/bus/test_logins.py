from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.bus.ports import BusDown
from qmail.bus.talk import logins
from qmail.bus.talk.logins import Slowed, Wrong
from services.admin.commands.logins import render

GOLDEN = Path(__file__).parents[2] / "golden" / "logins-1.json"
PAIR = Slowed(kind="account and address", account="ari", network="203.0.113.9", wrong=6, since=1000.0, next=1012.4)
ADDRESS = Slowed(kind="address", account="", network="2001:db8::/64", wrong=11, since=1000.0, next=1003.0)
ACCOUNT = Slowed(kind="account", account="j\xff\x1b", network="", wrong=5, since=1000.0, next=999.0)
WRONG = Wrong(auth="0123", account="ari", network="203.0.113.9", known=False, shared=True)


def test_the_bytes_on_the_wire_are_the_golden_ones() -> None:
    lines = [logins.encode_slowed([PAIR]), logins.encode_lift("ari"), logins.encode_lifted(2)]
    assert b"\n".join([*lines, logins.encode_wrong(WRONG)]) + b"\n" == GOLDEN.read_bytes()


def test_both_ends_understand_each_other() -> None:
    assert logins.parse_slowed(logins.encode_slowed([PAIR, ADDRESS])) == [PAIR, ADDRESS]
    assert logins.parse_lift(logins.encode_lift("ari")) == "ari"
    assert logins.parse_lifted(logins.encode_lifted(2)) == 2
    assert logins.parse_wrong(logins.encode_wrong(WRONG)) == WRONG


@given(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'{"slowed":[{}]}', b'{"who":5}', b'{"auth":1}']))
def test_what_is_none_of_ours_is_refused(payload: bytes) -> None:
    assert logins.parse_lift(payload) is None and logins.parse_wrong(payload) is None
    for parse in (logins.parse_slowed, logins.parse_lifted):
        with pytest.raises(BusDown):
            parse(payload)


def test_the_list_says_who_since_when_and_for_how_long() -> None:
    lines = render([PAIR, ADDRESS, ACCOUNT], 1000.0).splitlines()
    assert lines[0].startswith("ari from 203.0.113.9: 6 wrong passwords since 1970-01-01 ")
    assert lines[0].endswith(", next attempt in 12 s")
    assert lines[1].startswith("2001:db8::/64 (all accounts): 11 wrong passwords since ")
    assert lines[2].startswith("j\\xff\\x1b (all addresses that it is not known to use): 5 wrong")
    assert lines[2].endswith(", next attempt in 0 s")
    assert render([], 1000.0) == "nobody is slowed\n"
