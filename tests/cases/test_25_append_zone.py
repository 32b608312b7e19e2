"""APPEND with a zone of three digits, as old programs write it: read as Dovecot reads it."""

from __future__ import annotations

from tests.cases.conftest import Case

MESSAGE = b"Subject: zone\r\n\r\nx\r\n"


def test_a_zone_of_three_digits_is_taken(case: Case) -> None:
    with case.imap() as session:
        head = b'APPEND INBOX "18-Mar-2015 11:25:52 --400" {%d}' % len(MESSAGE)
        assert session.imap(head).startswith(b"+")
        session.send(MESSAGE + b"\r\n")
        assert b"a OK" in session.imap_answer()
