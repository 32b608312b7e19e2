"""A key with a pass phrase: nobody is asked for it, the alert names it, and `stat` repeats it while TLS is off."""

from __future__ import annotations

import os
import signal

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support.deployment import eventually
from tests.support.mail_run import MailRun, mail_run
from tests.support.talk import Talk

SECONDS = 120.0
DOORS = ("services.smtpd", "services.pop3", "services.imap")


def replace_key(mail: MailRun, pem: bytes) -> None:
    """A new key in the old one's place, with its owner and rights."""
    path = mail.directory / "tls" / "key.pem"
    status = path.stat()
    made = path.with_name("key.new")
    made.write_bytes(pem)
    os.chown(made, status.st_uid, status.st_gid)
    made.chmod(status.st_mode & 0o777)
    made.rename(path)


def restart(mail: MailRun, program: str) -> None:
    before = mail.pid(program)
    os.kill(before, signal.SIGTERM)
    eventually(lambda: mail.run.roles().get(program, before) != before, f"the next {program}", SECONDS)


def offers_starttls(mail: MailRun) -> bool:
    try:
        with Talk(mail.run.ports["SUBMISSION_PORT"]) as session:
            return b"STARTTLS" in session.smtp(b"EHLO client.example.org")
    except OSError:
        return False


def test_a_key_with_a_pass_phrase_is_named_where_it_is_looked_for() -> None:
    with mail_run() as mail:
        mail.start()
        good = (mail.directory / "tls" / "key.pem").read_bytes()
        key = load_pem_private_key(good, None)
        replace_key(mail, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
        assert offers_starttls(mail), "the pair that was read before is in use"
        for program in DOORS:
            restart(mail, program)
        said = "key.pem is encrypted"
        eventually(lambda: mail.qmailctl("stat").stdout.count(said) == len(DOORS), f"{said} in stat", SECONDS)
        assert "TLS is off" in mail.qmailctl("stat").stdout
        assert not offers_starttls(mail)
        assert "pass phrase:" not in mail.run.log.read_text(errors="replace")
        replace_key(mail, good)
        eventually(lambda: offers_starttls(mail), "STARTTLS without a restart", SECONDS)
        eventually(lambda: said not in mail.qmailctl("stat").stdout, f"{said} is mended", SECONDS)
