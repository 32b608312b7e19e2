"""cron's sendmail -f '<>': the null sender, as Postfix and RFC 5321 4.1.2 have it, not an address of ours."""

from __future__ import annotations

from tests.cases.conftest import Case
from tests.support.deployment import eventually


def test_a_message_with_empty_angle_brackets_has_the_null_return_path(case: Case) -> None:
    done = case.mail.qmailctl(
        *("sendmail", "-i", "-B8BITMIME", "-oem", "-f", "<>", "joni@xeris.com"), text="Subject: cron07\n\nx\n"
    )
    assert done.returncode == 0, done.stderr
    (message,) = eventually(
        lambda: [each for each in case.mail.messages("joni") if b"cron07" in each], "the message in joni's Maildir"
    )
    assert message.startswith(b"Return-Path: <>\n")
