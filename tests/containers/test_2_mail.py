"""Real mail through the composed product: in by SMTP, into the Maildir as the user, out by POP3 and IMAP."""

from __future__ import annotations

import imaplib
import poplib
import re
import smtplib
import socket

import pytest

from tests.support.deployment import Deployment, eventually


def letter(subject: str, body: str = "hello") -> str:
    return f"Subject: {subject}\n\n{body}\n"


def talk(deployment: Deployment, lines: list[str]) -> list[str]:
    """What a person types into telnet, line after line, and the answers."""
    answers: list[str] = []
    with socket.create_connection((deployment.address, 25), timeout=30) as link, link.makefile("rwb") as stream:
        answers.append(stream.readline().decode().rstrip())
        for line in lines:
            stream.write(line.encode() + b"\r\n")
            stream.flush()
            if line in ("", "Subject: telnet", "typed by hand"):
                continue
            answers.append(stream.readline().decode().rstrip())
    return answers


def test_the_tutorial_s_dialogue_as_a_person_types_it(xeris: Deployment) -> None:
    answers = talk(
        xeris,
        [
            *("heLo", "mail from: budi@xeris.com", "rcpt to: joni@xeris.com", "data"),
            *("Subject: telnet", "", "typed by hand", ".", "quit"),
        ],
    )
    assert [answer[:3] for answer in answers] == ["220", "250", "250", "250", "354", "250", "221"]
    assert re.fullmatch(r"250 ok \d+ qp \d+", answers[5])
    message = xeris.message_with("joni", "joni-password", b"Subject: telnet")
    assert message.startswith(b"Return-Path: <budi@xeris.com>\nDelivered-To: joni@xeris.com\nReceived: (qmail ")
    assert message.endswith(b"\n\ntyped by hand")


def test_imap_shows_what_pop3_shows(xeris: Deployment) -> None:
    xeris.send("budi@xeris.com", ["joni@xeris.com"], letter("both"))
    by_pop3 = xeris.message_with("joni", "joni-password", b"Subject: both")
    with xeris.imap("joni", "joni-password") as client:
        _, (numbers,) = client.search(None, "SUBJECT", "both")
        _, data = client.fetch(numbers.decode(), "(BODY.PEEK[])")
        assert isinstance(data[0], tuple)
        assert data[0][1].replace(b"\r\n", b"\n").rstrip(b"\n") == by_pop3


def test_the_file_is_the_user_s_alone(xeris: Deployment) -> None:
    xeris.send("budi@xeris.com", ["joni@xeris.com"], letter("owner"))
    xeris.message_with("joni", "joni-password", b"Subject: owner")
    listed = xeris.run("admin", "find", "/home/joni/Maildir", "-type", "f", "-printf", "%U %m\n")
    uid = xeris.run("admin", "id", "-u", "joni").strip()
    assert set(listed.splitlines()) == {f"{uid} 600"}
    assert xeris.run("admin", "stat", "-c", "%U %a", "/home/joni") == "joni 700\n"


def test_root_and_postmaster_are_the_administrator(xeris: Deployment) -> None:
    xeris.run("admin", "qmailctl", "passwd", "ari", stdin="ari-password\n")
    xeris.send("budi@xeris.com", ["root@xeris.com", "postmaster@xeris.com"], letter("alias"))

    def both() -> bool:
        found = [message for message in xeris.messages_by_now("ari", "ari-password") if b"Subject: alias" in message]
        return len(found) == 2

    eventually(both, "the alias's two messages")


def test_an_unknown_user_is_refused_at_once(xeris: Deployment) -> None:
    def code() -> int | None:
        """None where delivery-local did not say in time: then the message is taken, and bounces."""
        try:
            xeris.send("joni@xeris.com", ["nobody@xeris.com"], letter("to nobody"))
        except smtplib.SMTPRecipientsRefused as refused:
            return refused.recipients["nobody@xeris.com"][0]
        return None

    assert eventually(code, "an answer to RCPT") == 550


def test_an_unknown_user_behind_a_forward_is_a_bounce_in_qmail_s_words(xeris: Deployment) -> None:
    write = "umask 077; cat >/home/joni/.qmail-lost && chown joni:joni /home/joni/.qmail-lost"
    xeris.run("admin", "sh", "-c", write, stdin="&nobody@xeris.com\n")
    xeris.send("budi@xeris.com", ["joni-lost@xeris.com"], letter("to nobody"))
    bounce = xeris.message_with("budi", "budi-password", b"failure notice")
    assert bounce.startswith(b"Return-Path: <>\n")
    assert b"Hi. This is the qmail-send program at mail.xeris.com.\n" in bounce
    assert b"<nobody@xeris.com>:\nSorry, no mailbox here by that name. (#5.1.1)\n" in bounce
    assert b"\nSubject: to nobody\n" in bounce


@pytest.mark.parametrize("user", ["budi", "root"])
@pytest.mark.parametrize("command", ["qmail-inject", "sendmail -t"])
def test_the_tutorial_s_commands_put_mail_from_admin(xeris: Deployment, command: str, user: str) -> None:
    subject, uid = f"by {user} and {command.split()[0]}", xeris.run("admin", "id", "-u", user).strip()
    text = f"to: joni\nsubject: {subject}\n\nhello\n"
    xeris.run("admin", *command.split(), stdin=text, user=uid)
    message = xeris.message_with("joni", "joni-password", f"subject: {subject}".encode())
    assert message.startswith(f"Return-Path: <{user}@mail.xeris.com>\n".encode())
    assert f"\nFrom: {user}@mail.xeris.com\n".encode() in message
    assert f"invoked by uid {uid}); ".encode() in message


def test_the_queue_s_commands_lie_where_qmail_has_them(xeris: Deployment) -> None:
    xeris.run("admin", "qmailctl", "pause")
    xeris.send("budi@xeris.com", ["joni@xeris.com"], letter("in the queue"))
    counted = eventually(
        lambda: re.match(r"messages in queue: [1-9]\d*\n", xeris.try_run("admin", "/var/qmail/bin/qmail-qstat").stdout),
        "a message",
    )
    assert "messages in queue but not yet preprocessed: " in counted.string
    line = re.compile(r"\d+ \w{3} \d{4} \d\d:\d\d:\d\d GMT  #\d+  \d+  <budi@xeris.com> \n\tlocal\tjoni@xeris.com\n")
    for lister in ("/var/qmail/bin/qmail-qread", "mailq", "sendmail -bp"):
        assert line.search(xeris.run("admin", *lister.split())), lister
    xeris.run("admin", "qmailctl", "cont")
    xeris.message_with("joni", "joni-password", b"Subject: in the queue")
    assert "docker compose exec admin qmail-qread" in xeris.try_run("delivery-local", "mailq").stderr
    assert "newaliases" in xeris.try_run("admin", "newaliases").stderr


def test_maildirmake_lies_where_qmail_has_it(xeris: Deployment) -> None:
    run = ("admin", "qmailctl", "su", "budi", "-c")
    xeris.run(*run, "/var/qmail/bin/maildirmake Maildir.lama")
    assert xeris.run("admin", "sh", "-c", "cd /home/budi && stat -c '%U %a' Maildir.lama Maildir.lama/new") == (
        "budi 700\nbudi 700\n"
    )
    again = xeris.try_run(*run, "/var/qmail/bin/maildirmake Maildir.lama")
    assert (
        again.returncode == 111
        and again.stderr == "maildirmake: fatal: unable to mkdir Maildir.lama: file already exists\n"
    )


@pytest.mark.parametrize("command", ["qmail-inject", "/usr/sbin/sendmail -t"])
def test_a_program_in_dot_qmail_puts_mail_as_its_user(xeris: Deployment, command: str) -> None:
    # A directory of that name in the home must not take the place of the commands' own code.
    subject = f"answer by {command.split()[0]}"
    line = f"|mkdir -p services qmail; printf 'to: budi\\nsubject: {subject}\\n\\nhello\\n' | {command}\n"
    write = "umask 077; cat >/home/joni/.qmail-answer && chown joni:joni /home/joni/.qmail-answer"
    xeris.run("admin", "sh", "-c", write, stdin=line)
    xeris.send("budi@xeris.com", ["joni-answer@xeris.com"], letter("a question"))
    answer = xeris.message_with("budi", "budi-password", f"subject: {subject}".encode())
    assert answer.startswith(b"Return-Path: <joni@mail.xeris.com>\n")
    assert b"invoked by uid " + xeris.run("admin", "id", "-u", "joni").strip().encode() + b"); " in answer


def test_a_stranger_may_not_relay(xeris: Deployment) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        xeris.send("spammer@example.org", ["victim@example.net"], letter("relay"))
    code, _ = refused.value.recipients["victim@example.net"]
    assert code == 553


def test_a_program_in_dot_qmail_is_the_user_and_nothing_more(xeris: Deployment) -> None:
    script = "|(id -u; id -G; grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status) > seen && mv seen ran\n"
    xeris.run(
        "admin",
        "sh",
        "-c",
        "umask 077; cat > /home/joni/.qmail-probe && chown joni:joni /home/joni/.qmail-probe",
        stdin=script,
    )
    xeris.send("budi@xeris.com", ["joni-probe@xeris.com"], letter("probe"))

    def ran() -> str:
        return xeris.try_run("admin", "cat", "/home/joni/ran").stdout

    uid, groups, *capabilities = eventually(ran, "the program's output").splitlines()
    assert (uid, groups) == (
        xeris.run("admin", "id", "-u", "joni").strip(),
        xeris.run("admin", "id", "-g", "joni").strip(),
    )
    assert {line.split()[1] for line in capabilities} == {"0" * 16}


def test_wrong_passwords_are_refused_by_every_door(xeris: Deployment) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        xeris.submit("joni", "guess", ["budi@xeris.com"], letter("guess"))
    with pytest.raises(poplib.error_proto, match="-ERR"):
        xeris.messages("joni", "guess")
    with pytest.raises(imaplib.IMAP4.error), xeris.imap("joni", "guess"):
        raise AssertionError("logged in")
