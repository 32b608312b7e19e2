"""A blank after the colon of MAIL and RCPT, and no brackets at all, as old clients and people at a keyboard write."""

from __future__ import annotations

import pytest

from tests.cases.conftest import Case


@pytest.mark.parametrize(
    "lines",
    [
        (b"MAIL FROM: <a@example.org> SIZE=100 BODY=8BITMIME", b"RCPT TO:\t<joni@xeris.com>"),
        (b"MAIL FROM : <a@example.org>", b"RCPT TO: joni@xeris.com"),
    ],
)
def test_a_blank_after_the_colon(case: Case, lines: tuple[bytes, bytes]) -> None:
    with case.talk("smtp") as session:
        session.smtp(b"EHLO c.example.org")
        assert [session.smtp(line)[:3] for line in lines] == [b"250", b"250"]
        assert session.smtp(b"RSET")[:3] == b"250"
