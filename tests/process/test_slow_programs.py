"""One account's programs that take long, in a whole deployment: everybody else's mail goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, mail_run


@pytest.fixture
def mail() -> Iterator[MailRun]:
    with mail_run() as made:
        made.start()
        made.useradd("joni")
        made.useradd("diva")
        yield made


def test_ten_sleeping_programs_keep_nobody_else_s_mail_waiting(mail: MailRun) -> None:
    waiting = mail.directory / "home" / "joni" / "waiting"
    mail.qmailctl("su", "joni", "-c", "mkfifo waiting; echo '|read line <waiting; exit 0' >.qmail-slow")
    assert waiting.is_fifo()
    for number in range(12):
        assert mail.send(number, "joni-slow@xeris.com") == 250
    eventually(lambda: mail.log().count("to local joni-slow@xeris.com") >= 10, "ten programs that wait")
    assert mail.send(100, "diva@xeris.com") == 250
    eventually(lambda: mail.numbers("diva") == [100], "the message of somebody else")
    assert "msg" in mail.log() and mail.status()["messages"] >= 10, "the programs wait still"
    eventually(lambda: _let_go(mail) and mail.status()["messages"] == 0, "all of them", 120)


def _let_go(mail: MailRun) -> bool:
    """Give a line to every program that waits for one now."""
    mail.qmailctl("su", "joni", "-c", "for i in 1 2 3 4 5 6; do timeout 1 sh -c 'echo >waiting'; done; true")
    return True
