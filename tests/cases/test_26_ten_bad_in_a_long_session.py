"""A mail program that asks for what we do not have, now and then, through a long day."""

from __future__ import annotations

from tests.cases.conftest import Case


def test_unknown_commands_among_good_ones_close_no_session(case: Case) -> None:
    with case.imap() as session:
        for _ in range(30):
            for _ in range(3):
                assert b"a OK" in session.imap(b"NOOP")
            assert b"a BAD" in session.imap(b"X-NETSCAPE")
