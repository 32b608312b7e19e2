"""Options of other sendmails: -N and -R ask for reports, -r names the sender, as -f does."""

from __future__ import annotations

import pytest

from tests.cases.conftest import Case
from tests.support.deployment import eventually


@pytest.mark.parametrize(
    ("subject", "options"),
    [
        ("dsn08", ["-N", "never", "-R", "hdrs"]),
        ("r08", ["-r", "joni@xeris.com"]),
        ("gateway08", ["-G", "-U", "-n", "-V", "id8", "-h", "3", "-L", "tag", "-O", "Timeout=1"]),
    ],
)
def test_a_message_is_sent_with_options_that_others_take(case: Case, subject: str, options: list[str]) -> None:
    done = case.mail.qmailctl("sendmail", *options, "joni@xeris.com", text=f"Subject: {subject}\n\nx\n")
    assert (done.returncode, done.stderr) == (0, "")
    (message,) = eventually(
        lambda: [each for each in case.mail.messages("joni") if subject.encode() in each], "the message in the Maildir"
    )
    assert subject != "r08" or message.startswith(b"Return-Path: <joni@xeris.com>\n")
