"""Control files as editors of Windows leave them: line ends are nothing, what cannot be meant changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, mail_run
from tests.support.talk import Talk

NAME = "joni"
ADDRESS = b"joni@xeris.com"


@pytest.fixture(scope="module")
def mail() -> Iterator[MailRun]:
    """A deployment that takes everybody for a stranger."""
    with mail_run() as mail:
        mail.start()
        mail.useradd(NAME)
        (mail.directory / "control" / "tcp.smtp").write_text(":allow\n")
        yield mail


@pytest.fixture
def control(mail: MailRun) -> Iterator[Path]:
    """control/, whose locals and rcpthosts are as before when the test is over."""
    directory = mail.directory / "control"
    before = {name: (directory / name).read_bytes() for name in ("locals", "rcpthosts")}
    yield directory
    for name, content in before.items():
        (directory / name).write_bytes(content)
    assert mail.qmailctl("reload").returncode == 0


def answer_to_rcpt(mail: MailRun) -> bytes:
    with Talk(mail.run.ports["SMTP_PORT"]) as client:
        client.smtp(b"EHLO client.example.org")
        client.smtp(b"MAIL FROM:<stranger@example.org>")
        return client.smtp(b"RCPT TO:<%s>" % ADDRESS)


def logged(mail: MailRun, log: str) -> str:
    return (mail.directory / "log" / log / "current").read_text(errors="replace")


def test_line_ends_of_windows_refuse_nobody_and_local_mail_stays_local(mail: MailRun, control: Path) -> None:
    for name in ("locals", "rcpthosts"):
        (control / name).write_bytes(b"mail.xeris.com\r\nxeris.com\r\n")
    done = mail.qmailctl("reload")
    assert (done.returncode, done.stderr) == (0, "")
    assert answer_to_rcpt(mail).startswith(b"250 ")
    assert mail.send(33, ADDRESS.decode()) == 250
    eventually(lambda: mail.numbers(NAME) == [33], "the message in joni's Maildir")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\xef\xbb\xbfxeris.com\r\n", "1: expected one domain, or .domain, found a byte order mark before it"),
        (b"mail.xeris.com\nxeris.com # ours\n", "2: expected one domain, or .domain, found 'xeris.com # ours'"),
        (b"mail.xeris.com xeris.com\n", "1: expected one domain, or .domain, found 'mail.xeris.com xeris.com'"),
    ],
    ids=["byte order mark", "comment behind a name", "two names on one line"],
)
def test_a_mistake_is_named_with_file_and_line_and_the_old_values_stay(
    mail: MailRun, control: Path, content: bytes, found: str
) -> None:
    (control / "rcpthosts").write_bytes(content)
    done = mail.qmailctl("reload")
    assert done.returncode == 1 and f"control/rcpthosts:{found}" in done.stderr
    assert answer_to_rcpt(mail).startswith(b"250 ")
    alert = f"alert: {control}/rcpthosts:{found}; what was read before stays in force"
    eventually(lambda: alert in logged(mail, "qmail-smtpd"), "the alert in smtpd's log")
    done = mail.qmailctl("check")
    assert done.returncode == 1 and f"fault: {control}/rcpthosts:{found}" in done.stdout


def test_concurrencies_and_the_lifetime_are_taken_at_reload(mail: MailRun) -> None:
    control = mail.directory / "control"
    (control / "concurrencylocal").write_text("3\n")
    (control / "concurrencyremote").write_text("4\n")
    (control / "queuelifetime").write_text("fifty\n")
    done = mail.qmailctl("reload")
    assert done.returncode == 1 and "queuelifetime:1: expected a number of seconds, found 'fifty'" in done.stderr
    assert "local 0/10 remote 0/20" in mail.qmailctl("stat").stdout, "all or nothing"
    (control / "queuelifetime").write_text("50\n")
    assert mail.qmailctl("reload").returncode == 0
    assert "local 0/3 remote 0/4" in mail.qmailctl("stat").stdout


def test_a_file_that_nobody_reads_is_told(mail: MailRun) -> None:
    file = mail.directory / "control" / "badmailto"
    file.write_text("spam@example.org\n")
    assert mail.qmailctl("reload").returncode == 0
    eventually(lambda: "alert: control/badmailto is never read; " in logged(mail, "qmail"), "the alert")
    file.unlink()
    assert mail.qmailctl("reload").returncode == 0
    eventually(lambda: "mended: control/badmailto is never read; " in logged(mail, "qmail"), "the end of the alert")
