"""Bounces of bounces: one double bounce to the postmaster, and then nothing more."""

from __future__ import annotations

import re

import pytest

from tests.cases.conftest import NAME, Case


@pytest.mark.parametrize(
    ("sender", "words", "doubles"),
    [
        (b"", ["bounce msg"], 1),
        (b"#@[]", ["triple bounce: discarding bounce/"], 0),
        (b"-@[]", ["bounce msg"], 1),
        (b"nobodyhere@xeris.com", ["bounce msg", "bounce msg"], 1),
    ],
)
def test_a_bounce_of_a_bounce_ends(case: Case, sender: bytes, words: list[str], doubles: int) -> None:
    case.dot_qmail("bad", "|exit 100\n")
    before, mail = len(case.mail.messages("ari")), case.mail
    began = len(mail.log())
    with case.talk("smtp") as session:
        for line in (b"EHLO x", b"MAIL FROM:<%s>" % sender, b"RCPT TO:<%s-bad@xeris.com>" % NAME.encode(), b"DATA"):
            assert session.smtp(line)[:1] in b"23"
        assert session.smtp(b"Subject: x\r\n\r\nx\r\n.")[:3] == b"250"
    mail.drained()
    # A double bounce to postmaster is forwarded once.
    mail.logged_after(began, "end msg", len(words) + 2 * doubles)
    assert re.findall(r"bounce msg|triple bounce: discarding bounce/", mail.log()[began:]) == words
    assert len(mail.messages("ari")) - before == doubles
