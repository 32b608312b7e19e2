"""The tutorial's machine: what its chapters type in a shell, typed in admin."""

from __future__ import annotations

import pytest

from tests.support.deployment import Deployment

# A keyboard that stays there: at the end of its input telnet hangs up, whatever the server was about to say.
TELNET = "mkfifo /tmp/keys; exec 3<>/tmp/keys; echo quit >&3; telnet mail.xeris.com 25 <&3"


def typed(made: Deployment, line: str, stdin: str = "") -> tuple[int, str]:
    done = made.try_run("admin", "bash", "-c", line, stdin=stdin)
    return done.returncode, done.stdout + done.stderr


def test_an_account_as_chapter_6_3_makes_it(xeris: Deployment) -> None:
    assert typed(xeris, "/var/qmail/bin/maildirmake /etc/skel/Maildir") == (0, "")
    assert typed(xeris, "echo '# yours' >/etc/skel/.mailfilter; useradd machine")[0] == 0
    code, said = typed(xeris, "passwd machine", "machine-password\n")
    assert code == 0 and said == (
        "Changing password for user machine.\npasswd: all authentication tokens updated successfully.\n"
    )
    assert typed(xeris, "chown -R machine /home/machine/Maildir") == (0, "")
    assert (
        typed(xeris, "stat -c '%U %a %n' /home/machine/.mailfilter /home/machine/Maildir/new")[1]
        .split("\n")[0]
        .startswith("machine ")
    )
    xeris.send("ari@mail.xeris.com", ["machine@mail.xeris.com"], "subject:tes imel\n\nNgetes aja lho ....\n")
    assert b"Ngetes aja lho" in xeris.message_with("machine", "machine-password", b"tes imel")


@pytest.mark.parametrize(
    ("line", "stdin", "shown"),
    [
        (TELNET, "", "220 mail.xeris.com ESMTP"),
        ("nslookup xeris.com", "", "Name:\txeris.com\nAddress: 127.0.53.1"),
        ("nslookup -type=mx xeris.com", "", "xeris.com\tmail exchanger = 50 mail.xeris.com."),
        ("ping -c 1 mail.xeris.com", "", "1 packets transmitted, 1 received"),
        ("ps -ax", "", "services.admin"),
        ("tail -n 3 /var/log/qmail/current", "", "@4000"),
        ("/etc/rc.d/init.d/qmail start", "", "Starting qmail"),
        ("/etc/rc.d/init.d/qmail stop; true", "", "./qmailctl stop at the top of the checkout"),
        ("/usr/lib/courier-imap/libexec/imapd.rc start", "", "Starting qmail"),
        ("qmailctl queue", "", "messages in queue: "),
        ("cat /usr/lib/courier-imap/etc/authldaprc; true", "", "No such file"),
    ],
)
def test_what_the_chapters_type(xeris: Deployment, line: str, stdin: str, shown: str) -> None:
    code, said = typed(xeris, line, stdin)
    assert shown in said, (code, said)
