"""The bus and the queue die after mail has ended: it stays ended, the count is right, a pause stays."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, mail_run

ENDS_SECONDS = 120.0


@pytest.fixture
def deployment() -> Iterator[MailRun]:
    with mail_run() as run:
        run.start()
        run.useradd("joni")
        yield run


def instructions(deployment: MailRun, name: str, text: str) -> None:
    """joni's .qmail-NAME."""
    home = deployment.directory / "home" / "joni"
    path, owner = home / f".qmail-{name}", home.stat()
    path.write_text(text)
    os.chown(path, owner.st_uid, owner.st_gid)
    path.chmod(0o600)


def deferrals(deployment: MailRun) -> int:
    return deployment.log().count(": deferral: ")


def deliver_after_deferrals(deployment: MailRun, number: int, times: int) -> None:
    """A message that is deferred so often, then delivered."""
    instructions(deployment, "tunda", "|exit 111\n")
    before = deferrals(deployment)

    def deferred(times: int) -> bool:
        return deferrals(deployment) == times

    assert deployment.send(number, "joni-tunda@xeris.com") == 250
    for count in range(1, times + 1):
        eventually(partial(deferred, before + count), f"deferral {count}", ENDS_SECONDS)
        instructions(deployment, "tunda", "|exit 111\n" if count < times else "./Maildir/\n")
        assert deployment.qmailctl("flush").returncode == 0
    eventually(lambda: number in deployment.numbers("joni"), f"message {number}", ENDS_SECONDS)


def forgotten(deployment: MailRun) -> bool:
    """Whether the scheduler has removed what it removes of mail that has ended: IN comes after the rest."""
    return " IN 0 records" in deployment.qmailctl("stat").stdout


def kill(deployment: MailRun, program: str) -> None:
    """SIGKILL, and wait until the supervisor has started it again."""
    before = deployment.pid(program)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: deployment.run.roles().get(program, before) != before, f"{program} again", ENDS_SECONDS)


def settled(deployment: MailRun) -> None:
    """Wait until the scheduler knows all that the streams hold."""
    eventually(lambda: deployment.status().get("ready"), "the queue is ready", ENDS_SECONDS)


def test_mail_that_ended_does_not_come_back_when_the_bus_and_the_queue_die(deployment: MailRun) -> None:
    for number in (1, 2, 3):
        deliver_after_deferrals(deployment, number, 3)
    deployment.drained()
    eventually(lambda: forgotten(deployment), "IN is empty", ENDS_SECONDS)
    ended = deployment.log().count("end msg ")
    kill(deployment, "nats-server")
    settled(deployment)
    kill(deployment, "services.queue")
    settled(deployment)
    status = deployment.status()
    assert (status["messages"], status["unread"]) == (0, 0)
    assert deployment.qmailctl("flush").returncode == 0
    # A message that comes now overtakes nothing: what had come back would have been started before it.
    assert deployment.send(4, "joni@xeris.com") == 250
    eventually(lambda: 4 in deployment.numbers("joni"), "message 4", ENDS_SECONDS)
    deployment.drained()
    assert deployment.numbers("joni") == [1, 2, 3, 4]
    assert deployment.log().count("end msg ") == ended + 1
    assert not any(b"(The message itself is lost.)" in text for text in deployment.messages("ari"))


def test_a_pause_outlives_the_queue_process_and_the_bus(deployment: MailRun) -> None:
    assert deployment.qmailctl("pause").returncode == 0
    assert deployment.send(1, "joni@xeris.com") == 250
    for program in ("services.queue", "nats-server", "services.queue"):
        kill(deployment, program)
        settled(deployment)
        assert "(paused)" in deployment.qmailctl("stat").stdout
    status = deployment.status()
    assert status["paused"] and status["messages"] == 1 and deployment.numbers("joni") == []
    assert deployment.qmailctl("cont").returncode == 0
    eventually(lambda: deployment.numbers("joni") == [1], "message 1", ENDS_SECONDS)
    kill(deployment, "services.queue")
    settled(deployment)
    assert not deployment.status()["paused"]
