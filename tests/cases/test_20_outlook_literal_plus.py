"""Outlook sends name and password as non-synchronizing literals (RFC 7888)."""

from __future__ import annotations

from tests.cases.conftest import NAME, PASSWORD, Case


def test_login_with_literals_that_wait_for_nothing(case: Case) -> None:
    with case.talk("imap") as session:
        session.send(
            b"a LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n" % (len(NAME), NAME.encode(), len(PASSWORD), PASSWORD.encode())
        )
        assert session.line().startswith(b"a OK")
