"""The table of transitions, held to the order of verbs that recorded sessions of qmail-smtpd show (RFC 5321 4.1.4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from services.smtpd import replies
from services.smtpd.data import DataReader, Verdict
from services.smtpd.grammar import parse_command
from services.smtpd.states import AUTH, CLOSED, DATA, MAIL, RCPT, START, TLS, State
from services.smtpd.table import INPUT, QMAIL_TABLE, TABLE, TOO_LONG, UNKNOWN, Table, mail_first, rcpt_first
from tests.oracle.kinds.smtpd import octets
from tests.oracle.runner import OWN_CASES

CASES = [
    case
    for case in map(json.loads, (OWN_CASES / "smtpd.jsonl").read_text().splitlines())
    if octets(case["expect"]["stdout"]).startswith(b"220 ")
]
COMMAND_STATES = (START, MAIL, RCPT)


def recorded_replies(case: dict[str, Any]) -> Iterator[bytes]:
    """What qmail-smtpd said after its greeting, reply by reply."""
    expected = case.get("expect_103", case["expect"])
    reply = b""
    for line in octets(expected["stdout"]).splitlines(keepends=True)[1:]:
        reply += line
        if line[3:4] != b"-":
            yield reply
            reply = b""


def follow(table: Table, stdin: bytes, said: Iterator[bytes]) -> Iterator[tuple[State, bytes, bytes]]:
    """The state, the verb and qmail's reply of each command of a session, as far as the states follow from `table`."""
    state, unread = START, stdin
    while b"\n" in unread and state is not CLOSED:
        if state is DATA:
            reader = DataReader()
            verdict, _ = reader.take(unread)
            unread = reader.rest
            if verdict is not Verdict.END:
                return
            next(said)
            state = table[DATA][INPUT].next
            continue
        line, _, unread = unread.partition(b"\n")
        verb, _ = parse_command(line, exact=True)
        reply = next(said)
        yield state, verb, reply
        if reply[:1] in (b"2", b"3"):
            state = table[state].get(verb, UNKNOWN).next


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
@pytest.mark.parametrize("table", [QMAIL_TABLE, TABLE], ids=["qmail", "ours"])
def test_the_recorded_order_of_verbs(case: dict[str, Any], table: Table) -> None:
    said = recorded_replies(case)
    for state, verb, reply in follow(table, octets(case["input"]["stdin"]), said):
        step, following = table[state].get(verb, UNKNOWN)
        context = (state, verb, reply)
        assert (reply == replies.UNIMPLEMENTED) == (verb not in QMAIL_TABLE[state]), context
        assert (reply == replies.MAIL_FIRST) == (step is mail_first), context
        assert (reply == replies.RCPT_FIRST) == (step is rcpt_first), context
        assert (reply == replies.GO_AHEAD) == (following is DATA), context
        assert reply.startswith(b"221") == (following is CLOSED), context


@pytest.mark.parametrize("table", [QMAIL_TABLE, TABLE], ids=["qmail", "ours"])
def test_every_state_has_its_rows_and_can_be_left(table: Table) -> None:
    verbs = {frozenset(table[state]) for state in COMMAND_STATES}
    assert len(verbs) == 1, "a verb that one command state knows is answered in all of them"
    assert not table[CLOSED] and not table[TLS], "what is read there is dropped"
    assert set(table[DATA]) == {INPUT}
    assert {row.next for state in (*COMMAND_STATES, DATA) for row in table[state].values()} >= {*COMMAND_STATES, DATA}


def test_the_extensions_verbs_are_the_only_ones_added() -> None:
    for state in COMMAND_STATES:
        assert set(TABLE[state]) - set(QMAIL_TABLE[state]) == {b"starttls", b"auth"}
        assert all(TABLE[state][verb] == row for verb, row in QMAIL_TABLE[state].items())
    assert set(TABLE[AUTH]) == {INPUT, TOO_LONG} and not QMAIL_TABLE[AUTH]
