"""What strangers write at the door of a whole deployment: addresses that would be commands, header lines or orders to
a terminal, and recipients that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deployment import eventually
from tests.support.mail_run import LOGGED_SECONDS, MailRun, mail_run
from tests.support.talk import Talk

NAME, OTHER = "joni", "diva"
BODY = b"Subject: odd\r\n\r\nb\r\n."
# What a terminal obeys, or shows otherwise than it is.
ODD = "a\u202exe.\u009b2J"


@pytest.fixture(scope="module")
def deployment() -> Iterator[MailRun]:
    with mail_run() as made:
        made.start()
        made.useradd(NAME)
        made.useradd(OTHER)
        yield made


def smtp(deployment: MailRun, *lines: bytes) -> list[bytes]:
    """The codes that the lines are answered with."""
    with Talk(deployment.run.ports["SMTP_PORT"]) as session:
        return [session.smtp(line)[:3] for line in lines]


def test_what_a_terminal_would_obey_is_shown_escaped(deployment: MailRun) -> None:
    assert deployment.qmailctl("pause").returncode == 0
    try:
        sender, recipient = f"{ODD}@evil.test".encode(), f"{NAME}@xeris.com".encode()
        lines = (b"EHLO x\x1b[2J", b"MAIL FROM:<%s> SMTPUTF8" % sender, b"RCPT TO:<%s>" % recipient, b"DATA", BODY)
        assert smtp(deployment, *lines) == [b"250", b"250", b"250", b"354", b"250"]
        deployment.logged("info msg")
        shown = deployment.qmailctl("queue").stdout
        assert "<a\\u202exe.\\u009b2J@evil.test>" in shown
        assert shown.replace("\n", "").replace("\t", "").isprintable()
    finally:
        assert deployment.qmailctl("cont").returncode == 0
    deployment.drained()
    for path in (deployment.directory / "log").rglob("current"):
        text = path.read_text(encoding="utf-8", errors="strict")
        assert text.replace("\n", "").isprintable(), path


@pytest.mark.parametrize("octet", [0, 7, 9, 13, 27, 127])
def test_control_characters_in_addresses_are_refused(deployment: MailRun, octet: int) -> None:
    odd = b"a" + bytes([octet]) + b"]0;x@xeris.com"
    codes = smtp(deployment, b"MAIL FROM:<" + odd + b">", b"MAIL FROM:<a@b>", b"RCPT TO:<" + odd + b">", b"DATA")
    assert codes == [b"501", b"250", b"501", b"503"]


def test_as_qmail_takes_it_a_forwarded_address_is_no_header_line(deployment: MailRun) -> None:
    home = deployment.directory / "home" / NAME
    dot_qmail, none = home / ".qmail-default", deployment.directory / "control" / "extensions"
    dot_qmail.write_text(f"&{OTHER}@xeris.com\n")
    dot_qmail.chmod(0o644)
    none.write_text("none\n")
    try:
        odd = b"RCPT TO:<joni-x\rX-Injected: yes\rSubject: forged@xeris.com>"
        assert smtp(deployment, b"MAIL FROM:<a@b>", odd, b"DATA", BODY) == [b"250", b"250", b"354", b"250"]
        deployment.drained()
    finally:
        none.unlink()
        dot_qmail.unlink()
    (message,) = deployment.messages(OTHER)
    assert b"\r" not in message
    assert message.count(b"\nDelivered-To: joni-x_X-Injected: yes_Subject: forged@xeris.com\n") == 1


def test_nobody_is_bounced_to_whose_recipient_does_not_exist(deployment: MailRun) -> None:
    control = deployment.directory / "control"
    (control / "virtualdomains").write_text(f"virtual.test:{NAME}\n.wild.test:nobody\nwhole@far.test:{NAME}-whole\n")
    (control / "percenthack").write_text("hack.test\n")
    try:
        unknown = (
            b"nosuch@xeris.com", b"nosuch@virtual.test", b"x@a.wild.test", b"whole@far.test", b"nosuch",
            b"nosuch%xeris.com@hack.test", b"nosuch%virtual.test@hack.test",
        )  # fmt: skip
        malformed = (b"", b"@", b"@xeris.com", b'""@xeris.com', b"joni@")
        lines = [b"RCPT TO:<" + address + b">" for address in unknown + malformed]
        codes = smtp(
            deployment, b"MAIL FROM:<forged@victim.test>", *lines, b"RCPT TO:<joni>", b"RCPT TO:<ari@virtual.test>"
        )
        assert codes[1:] == [b"550"] * len(unknown) + [b"501"] * len(malformed) + [b"250", b"550"]
        log = deployment.directory / "log" / "qmail-smtpd" / "current"
        told = (
            "refused recipient 127.0.0.1: RCPT TO:<nosuch@virtual.test> from <forged@victim.test>: "
            "550 sorry, no mailbox here by that name. (#5.1.1)"
        )
        eventually(lambda: told in log.read_text(), "the refusal in the log", LOGGED_SECONDS)
    finally:
        (control / "virtualdomains").unlink()
        (control / "percenthack").unlink()
