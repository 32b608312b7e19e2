"""NOTIFY=NEVER, which EHLO does not announce: refused, since a bounce would come all the same."""

from __future__ import annotations

from tests.cases.conftest import NAME, Case


def test_notify_never_is_not_taken_and_not_kept(case: Case) -> None:
    case.dot_qmail("never", "|exit 100\n")
    with case.talk("smtp") as session:
        assert b"DSN" not in session.smtp(b"EHLO c.example.org")
        session.smtp(f"MAIL FROM:<{NAME}@xeris.com>".encode())
        assert session.smtp(f"RCPT TO:<{NAME}-never@xeris.com> NOTIFY=NEVER".encode())[:3] == b"555"
        assert session.smtp(b"DATA")[:3] == b"503"
