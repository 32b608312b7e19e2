"""qmail-rspawn's reading of qmail-remote's report; texts as in the recorded logs of qmail-send."""

from __future__ import annotations

import pytest

from services.delivery.outcome import Kind, Outcome
from services.delivery.remote.report import decide_outcome, render_report, wait_for_another_session

ACCEPTED = b"K127.0.0.1 accepted message.\nRemote host said: 250 accepted\n"
REFUSED = b"h127.0.0.1 does not like recipient.\nRemote host said: 550 no such user\n"
LATER = b"s127.0.0.1 does not like recipient.\nRemote host said: 450 later\n"
GIVING_UP = b"DGiving up on 127.0.0.1.\n"
DIED = b"ZConnected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n"


@pytest.mark.parametrize(
    ("parts", "number", "kind", "text"),
    [
        ([b"r", ACCEPTED], 0, Kind.SUCCESS, ACCEPTED[1:]),
        ([REFUSED, GIVING_UP], 0, Kind.FAILURE, REFUSED[1:] + GIVING_UP[1:]),
        ([LATER, GIVING_UP], 0, Kind.DEFERRAL, LATER[1:] + GIVING_UP[1:]),
        ([b"r", DIED], 0, Kind.DEFERRAL, DIED[1:]),
        ([DIED], 0, Kind.DEFERRAL, DIED[1:]),
        ([b"r", REFUSED, ACCEPTED], 0, Kind.SUCCESS, ACCEPTED[1:]),
        ([b"r", REFUSED, ACCEPTED], 1, Kind.FAILURE, REFUSED[1:]),
        ([b"r", LATER, ACCEPTED], 1, Kind.DEFERRAL, LATER[1:]),
        ([b"r", DIED], 1, Kind.DEFERRAL, DIED[1:]),
        ([], 0, Kind.DEFERRAL, b"qmail-remote produced no output.\n"),
    ],
)
def test_outcome(parts: list[bytes], number: int, kind: Kind, text: bytes) -> None:
    assert decide_outcome(parts, number) == Outcome(kind, text)


def test_a_report_in_qmail_remotes_own_form() -> None:
    assert render_report([b"r", ACCEPTED]) == b"r\0" + ACCEPTED + b"\0"


TOO_MANY = b"s127.0.0.1 does not like recipient.\nRemote host said: 452 4.5.3 too many recipients\n"


@pytest.mark.parametrize(
    ("parts", "again"),
    [
        ([b"r", TOO_MANY, LATER, TOO_MANY, ACCEPTED], [1, 3]),
        ([TOO_MANY, LATER, GIVING_UP], []),  # nobody was taken: another session would be the same
        ([b"r", TOO_MANY, DIED], []),
        ([DIED], []),
        ([b"r", REFUSED, ACCEPTED], []),
    ],
)
def test_who_was_too_much_for_one_session(parts: list[bytes], again: list[int]) -> None:
    assert wait_for_another_session(parts, max(1, len(parts) - 1)) == again
