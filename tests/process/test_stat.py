"""`qmailctl stat` of a running deployment: who is up and since when, by its exit code too."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, mail_run

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@pytest.fixture(scope="module")
def run() -> Iterator[MailRun]:
    with mail_run() as deployment:
        deployment.start()
        yield deployment


def age(text: str, role: str) -> int:
    """Seconds that a role says it is up."""
    found = re.search(rf"^{role}: up (\S+)$", text, re.MULTILINE)
    assert found, text
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([dhms])", found[1]))


def stat(run: MailRun) -> tuple[int, str]:
    done = run.qmailctl("stat")
    return done.returncode, done.stdout


def said(run: MailRun, code: int) -> str | None:
    """What stat says if it ends so."""
    found, text = stat(run)
    return text if found == code else None


def test_a_deployment_without_mail_that_is_started_again_has_lost_nothing(run: MailRun) -> None:
    run.run.stop()
    run.start()
    code, text = stat(run)
    assert code == 0 and "alert" not in text, text


def test_up_is_the_age_of_the_process_and_not_of_its_connection(run: MailRun) -> None:
    code, before = stat(run)
    assert code == 0, before
    roles = run.run.roles()
    os.kill(roles["nats-server"], signal.SIGKILL)
    eventually(lambda: run.run.roles().get("nats-server", 0) not in (0, roles["nats-server"]), "the bus again")
    after = eventually(lambda: said(run, 0), "all roles on the bus again")
    assert run.run.roles()["services.imap"] == roles["services.imap"]
    assert age(after, "imap") >= age(before, "imap")
    assert age(after, "bus") <= age(after, "imap")


def test_a_role_that_hangs_is_no_success(run: MailRun) -> None:
    pid = run.run.roles()["services.pop3"]
    os.kill(pid, signal.SIGSTOP)
    try:
        code, text = stat(run)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert code == 2
    assert "pop3: connected, and does not answer\n" in text
    assert "imap: up " in text
    eventually(lambda: stat(run)[0] == 0, "pop3 answers again")


def test_a_role_that_is_down_is_no_success(run: MailRun) -> None:
    path = run.directory / "credentials" / "pop3.bus"
    away = path.rename(path.with_suffix(".away"))
    os.kill(run.run.roles()["services.pop3"], signal.SIGKILL)
    try:
        text = eventually(lambda: said(run, 2), "pop3 is down")
        assert "pop3: down\n" in text and "imap: up " in text
    finally:
        away.rename(path)
    eventually(lambda: stat(run)[0] == 0, "pop3 is up again")


def test_without_the_queue_the_rest_is_told(run: MailRun) -> None:
    pid = run.run.roles()["services.queue"]
    os.kill(pid, signal.SIGSTOP)
    try:
        code, text = stat(run)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert code == 2
    assert "queue at http://" in text and "bus: BODY " in text
