"""An empty queue is said to be empty after every restart of the deployment's roles."""

from __future__ import annotations

import os
import signal

from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, mail_run

EMPTY = "messages in queue: 0\nmessages in queue but not yet preprocessed: 0\n"
READY_SECONDS = 120.0


def restart_the_queue(mail: MailRun) -> None:
    before = mail.pid("services.queue")
    os.kill(before, signal.SIGTERM)
    eventually(lambda: mail.run.roles().get("services.queue", before) != before, "the next queue", READY_SECONDS)
    eventually(lambda: mail.qmailctl("queue").returncode == 0, "the queue answers", READY_SECONDS)


def test_an_empty_queue_has_no_messages_after_each_restart() -> None:
    with mail_run() as mail:
        mail.start()
        mail.useradd("joni")
        for number in range(5):
            assert mail.send(number, "joni@xeris.com") == 250
        eventually(lambda: mail.numbers("joni") == list(range(5)), "five messages", READY_SECONDS)
        mail.drained()
        for _ in range(2):
            restart_the_queue(mail)
            assert mail.qmailctl("queue").stdout == EMPTY
