"""A client that vanishes has deleted nothing (RFC 1939 section 6): DELE counts at QUIT alone."""

from __future__ import annotations

from tests.cases.conftest import Case


def test_a_dropped_pop3_session_deletes_nothing(case: Case) -> None:
    case.put("c18.host:2,", b"Subject: keep\n\n.\n..x\nend")
    with case.pop3() as session:
        before = session.pop3(b"STAT")
        assert session.pop3(b"DELE 1").startswith(b"+OK")
    with case.pop3() as session:
        assert session.pop3(b"STAT") == before
