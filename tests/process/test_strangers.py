"""What strangers write at the doors of a whole deployment: addresses that would be commands, header lines or orders to
a terminal, and recipients that do not exist."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.deployment import eventually
from tests.support.mail_run import HOST, LOGGED_SECONDS, MailRun, mail_run
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


# --- every octet through every field that is ever shown ---

ALL = bytes(octet for octet in range(256) if octet not in b"\r\n")
EIGHT_BIT = bytes(range(0x80, 0x100))


class Shouting:
    """A far host whose replies hold every octet; it takes no recipient."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    self._talk(client)

    @staticmethod
    def _talk(client: socket.socket) -> None:
        client.sendall(b"220 hi\r\n")
        for line in client.makefile("rb"):
            refused = line[:4] == b"RCPT"
            client.sendall((b"550 no " if refused else b"250 ") + ALL + b"\r\n")
            if line[:4] == b"QUIT":
                return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def shouting(deployment: MailRun) -> Iterator[Shouting]:
    far, route = Shouting(), deployment.directory / "control" / "smtproutes"
    route.write_text(f"far.test:{HOST}:{far.port}\n")
    yield far
    route.unlink()
    far.close()


def test_every_octet_in_every_field_is_shown_as_printable_text(deployment: MailRun, shouting: Shouting) -> None:
    control = ALL.replace(b"\0", b"")
    with Talk(deployment.run.ports["SMTP_PORT"]) as session:
        for line in (b"HELO " + ALL, b"EHLO " + ALL, ALL, b"MAIL FROM:<" + control + b"@x>", b"VRFY " + ALL):
            session.smtp(line)
        assert session.smtp(b"MAIL FROM:<joni" + EIGHT_BIT + b"@xeris.com>")[:3] == b"250"
        assert session.smtp(b"RCPT TO:<" + control + b"@xeris.com>")[:3] == b"501"
        assert session.smtp(b"RCPT TO:<nosuch" + EIGHT_BIT + b"@xeris.com>")[:3] == b"550"
        assert session.smtp(b"RCPT TO:<x" + EIGHT_BIT + b"@far.test>")[:3] == b"250"
        assert session.smtp(b"DATA")[:3] == b"354"
        assert session.smtp(b"Subject: " + control + b"\r\n\r\nb\r\n.")[:3] == b"250"
    plain = base64.b64encode(b"\0" + control + b"\0wrong")
    with Talk(deployment.run.ports["SUBMISSION_PORT"]) as session:
        session.smtp(b"EHLO x")
        assert session.smtp(b"AUTH PLAIN " + plain)[:1] in b"45"
    with Talk(deployment.run.ports["POP3_PORT"]) as session:
        session.pop3(b"USER " + control)
        assert session.pop3(b"PASS wrong")[:4] == b"-ERR"
    with Talk(deployment.run.ports["IMAP_PORT"]) as session:
        session.imap(b"LOGIN {%d}" % len(control))
        session.send(control + b" wrong\r\n")
        assert b"a NO" in session.imap_answer()
    name = b"1." + bytes(octet for octet in control if not 0x20 <= octet < 0x7F) + b":2,"
    odd = deployment.maildir(NAME) / "cur" / os.fsdecode(name)
    odd.write_bytes(b"Subject: x\n\nb\n")
    odd.chmod(0)
    with Talk(deployment.run.ports["POP3_PORT"]) as session:
        session.pop3(b"USER " + NAME.encode())
        session.pop3(f"PASS {NAME}pass".encode())
        session.pop3(b"RETR 1")
    deployment.drained()
    said = [deployment.qmailctl(*argv) for argv in (["queue"], ["stat"], ["log"])]
    shown = {" ".join(done.args[1:]): done.stdout + done.stderr for done in said}
    shown |= {str(path): path.read_text(encoding="utf-8") for path in (deployment.directory / "log").rglob("current")}
    shown["standard output"] = deployment.run.log.read_text(encoding="utf-8")
    for where, text in shown.items():
        assert text.replace("\n", "").replace("\t", "").isprintable(), where
    assert "550 no" in "".join(shown.values()).replace("_", " "), "the far host was heard"
