"""A deployment whose machine gets another name goes on under its own, that of control/me."""

from __future__ import annotations

import shutil

import pytest

from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, mail_run
from tests.support.needs import missing
from tests.support.talk import Talk

RENAMED = "newhost42"


def rename_the_machine(mail: MailRun) -> None:
    """From the next start on, for the deployment alone (unshare(1))."""
    unshare = shutil.which("unshare") or missing("unshare, of util-linux")
    command = f'echo {RENAMED} >/proc/sys/kernel/hostname && exec "$0" "$@"'
    mail.run._argv = (unshare, "--uts", "sh", "-c", command, *mail.run._argv)


@pytest.mark.root(reason="only root gives a machine a name")
def test_everything_keeps_the_name_of_control_me() -> None:
    with mail_run() as mail:
        mail.start()
        mail.run.stop()
        rename_the_machine(mail)
        # Ready: the scheduler has the lease, and delivers what is old and new.
        mail.start()
        assert Talk(mail.run.ports["SMTP_PORT"]).greeting == b"220 mail.xeris.com ESMTP\r\n"
        assert mail.send(1, "ari@xeris.com") == 250
        eventually(lambda: mail.numbers("ari") == [1], "the message")
        (path,) = (mail.maildir("ari") / "new").iterdir()
        assert path.name.endswith(".mail.xeris.com")
        text = path.read_text()
        assert "  by mail.xeris.com with " in text and RENAMED not in text
        for name in ("qmail", "qmail-smtpd"):
            assert RENAMED not in (mail.directory / "log" / name / "current").read_text()
