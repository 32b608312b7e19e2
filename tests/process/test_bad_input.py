"""Bad input and what fails underneath, over real sockets in a whole deployment: a clear reply, nothing half-stored,
nothing lost. The table "bad input, answer, test" is in docs/operations.md."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextlib
import imaplib
import json
import os
import poplib
import re
import signal
import smtplib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.support.deployment import eventually, unverified
from tests.support.mail_run import HOST, LOGGED_SECONDS, MailRun, mail_run

NAME = "joni"
ADDRESS = "joni@xeris.com"
ROOT_ONLY = pytest.mark.root(reason="only root makes files of somebody else's")
ENVELOPE = b"MAIL FROM:<ari@xeris.com>\r\nRCPT TO:<joni@xeris.com>\r\nDATA\r\n"
HALF = b"Subject: half\r\n\r\n" + b"x" * 998 + b"\r\n"
ACCEPTED = re.compile(rb"^250 ok \d+ qp \d+\r$", re.MULTILINE)


@pytest.fixture(scope="module")
def deployment() -> Iterator[MailRun]:
    with mail_run() as made:
        made.start()
        made.useradd(NAME)
        yield made


def pop3(deployment: MailRun) -> str:
    """What POP3 says to a right password."""
    client = poplib.POP3(HOST, deployment.run.ports["POP3_PORT"], timeout=60)
    try:
        client.stls(unverified())
        client.user(NAME)
        return client.pass_(f"{NAME}pass").decode()
    except poplib.error_proto as error:
        return bytes(error.args[0]).decode()
    finally:
        client.close()


def imap(deployment: MailRun) -> str:
    """What IMAP says to a right password and SELECT."""
    client = imaplib.IMAP4(HOST, deployment.run.ports["IMAP_PORT"], timeout=60)
    try:
        client.starttls(unverified())
        client.login(NAME, f"{NAME}pass")
        kind, found = client.select()
        return f"{kind} {found[0]!r}"
    except imaplib.IMAP4.error as error:
        text: bytes = error.args[0]
        return text.decode()
    finally:
        client.shutdown()


def submission(deployment: MailRun) -> str:
    """What SMTP AUTH says to a right password."""
    with smtplib.SMTP(HOST, deployment.run.ports["SUBMISSION_PORT"], timeout=60) as client:
        client.starttls(context=unverified())
        client.ehlo()
        # login() would try the next mechanism.
        plain = base64.b64encode(f"\0{NAME}\0{NAME}pass".encode()).decode()
        code, text = client.docmd("AUTH", f"PLAIN {plain}")
    return f"{code} {text.decode()}"


def answer_of(ask: Callable[[MailRun], str], deployment: MailRun) -> str:
    """What it says; empty where it does not answer."""
    try:
        return ask(deployment)
    except (OSError, EOFError, imaplib.IMAP4.error, poplib.error_proto):
        return ""


@dataclass(frozen=True)
class Begun:
    """What takes so long that the other tests run meanwhile: the answers of the doors while auth hangs (up to 40 s),
    and a large message broken off, whose parts go after 20 s."""

    without_auth: list[concurrent.futures.Future[str]]
    hung_up: bytes


@pytest.fixture(scope="module", autouse=True)
def begun(deployment: MailRun) -> Iterator[Begun]:
    deployment.signal("services.auth", signal.SIGSTOP)

    def let_auth_go_on() -> None:
        # Not by the test that looks at the answers: the others need auth, and each may run without it.
        concurrent.futures.wait(said)
        deployment.signal("services.auth", signal.SIGCONT)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        said = [pool.submit(ask, deployment) for ask in (pop3, imap, submission)]
        going_on = pool.submit(let_auth_go_on)
        yield Begun(said, deployment.talk(b"EHLO x\r\n" + ENVELOPE + HALF * 3000, hang_up=True))
        going_on.result()


@pytest.fixture
def empty(deployment: MailRun) -> MailRun:
    """With nothing in the queue and in joni's Maildir."""
    deployment.drained()
    for path in (deployment.maildir(NAME) / "new").iterdir():
        path.unlink()
    return deployment


def codes(said: bytes) -> list[bytes]:
    """The codes of all replies."""
    return [line[:3] for line in said.split(b"\r\n") if line and line[3:4] == b" "]


def queued(deployment: MailRun) -> int:
    """How many messages the queue has, as soon as it answers."""
    found = eventually(lambda: deployment.status() or None, "the queue's state")
    return int(found["messages"])


def stored_bodies(deployment: MailRun) -> int:
    """How many parts of large messages the bus holds."""
    import nats

    facts = dict(line.split("=", 1) for line in (deployment.directory / "run/deployment").read_text().splitlines())
    _, password = (deployment.directory / "credentials/admin.bus").read_text().split()

    async def ask() -> int:
        client = await nats.connect(facts["BUS_URL"], user="admin", password=password, inbox_prefix="_INBOX_admin")
        try:
            answer = await client.request("$JS.API.STREAM.INFO.BODY", b"", timeout=60)
            return int(json.loads(answer.data)["state"]["messages"])
        finally:
            await client.close()

    return asyncio.run(ask())


# --- what a client may send -----


@pytest.mark.parametrize(
    ("mark", "answer", "arrive"),
    [
        (b"\n.\n", b"451", 0),
        (b"\r\n.\n", b"451", 0),
        (b"\n.\r\n", b"451", 0),
        (b"\r.\n", b"451", 0),
        (b"\n\n.\r\n", b"451", 0),
        (b"\r\r\n.\n", b"451", 0),
        (b"\r.\r", b"250", 1),
        (b"\r\n.\r", b"250", 1),
        (b"\r.\r\n", b"250", 1),
        (b"\r\n\0.\r\n", b"250", 1),
        (b"\r\n.\0\r\n", b"250", 1),
        (b"\r\n.\r\r\n", b"250", 1),
        (b"\xc2\x85.\xc2\x85", b"250", 1),
    ],
)
def test_no_end_mark_but_the_real_one_makes_a_second_message(
    empty: MailRun, mark: bytes, answer: bytes, arrive: int
) -> None:
    second = ENVELOPE + b"Subject: smuggled\r\n\r\nsecond\r\n.\r\nQUIT\r\n"
    said = empty.talk(b"EHLO x\r\n" + ENVELOPE + b"Subject: first\r\n\r\nfirst" + mark + second)
    assert len(ACCEPTED.findall(said)) == arrive
    assert codes(said.partition(b"354 ")[2].partition(b"\r\n")[2])[0] == answer
    empty.drained()
    found = empty.messages(NAME)
    assert len(found) == arrive
    assert all(b"MAIL FROM:" in text and b"second" in text for text in found), "all of it is the first one's text"


def test_a_message_after_a_real_end_mark_is_a_second_one(empty: MailRun) -> None:
    text = ENVELOPE + b"Subject: x\r\n\r\nbody\r\n.\r\n"
    assert len(ACCEPTED.findall(empty.talk(b"EHLO x\r\n" + text + text + b"QUIT\r\n"))) == 2
    empty.drained()
    assert len(empty.messages(NAME)) == 2


def test_nul_and_8_bit_and_a_very_long_line_arrive_byte_for_byte(empty: MailRun) -> None:
    line = b"X-Long: " + b"x" * 700_000
    body = bytes(octet for octet in range(256) if octet not in b"\r\n") + b"\r\n" + b"y" * 100_000 + b"\r\n"
    said = empty.talk(b"EHLO x\r\n" + ENVELOPE + line + b"\r\n\r\n" + body + b".\r\nQUIT\r\n")
    assert ACCEPTED.search(said)
    empty.drained()
    (found,) = empty.messages(NAME)
    assert found.endswith(line + b"\n\n" + body.replace(b"\r\n", b"\n"))


def test_a_command_that_is_too_long_or_has_a_nul_spoils_nothing(empty: MailRun) -> None:
    long = b"MAIL FROM:<" + b"a" * 100_000 + b"@b>\r\n"
    address = b"MAIL FROM:<" + b"a" * 1000 + b"@b>\r\n"
    said = empty.talk(b"EHLO x\r\n" + long + address + b"NOOP\0 x\r\n" + ENVELOPE + b"\r\nbody\r\n.\r\nQUIT\r\n")
    assert codes(said)[2:] == [b"500", b"555", b"250", b"250", b"250", b"354", b"250", b"221"]


def test_commands_out_of_order_and_unknown_ones_are_told(empty: MailRun) -> None:
    wrong = b"RCPT TO:<joni@xeris.com>\r\nDATA\r\nMAIL FROM:<a@b>\r\nDATA\r\nNONSENSE\r\n\r\nSTARTTLS now\r\nQUIT\r\n"
    assert codes(empty.talk(b"EHLO x\r\n" + wrong))[2:] == [
        b"503", b"503", b"250", b"503", b"502", b"502", b"501", b"221",
    ]  # fmt: skip
    said = empty.talk(b"GET / HTTP/1.1\r\n" + b"Header: x\r\n" * 100)
    assert said.endswith(b"421 sorry, too many bad commands, closing (#4.7.0)\r\n")
    assert len(codes(said)) < 30


def test_too_many_recipients_are_a_452_and_the_others_get_it(empty: MailRun) -> None:
    control = empty.directory / "control" / "maxrecipients"
    control.write_text("2\n")
    try:
        rcpt = b"RCPT TO:<joni@xeris.com>\r\n"
        talk = b"EHLO x\r\nMAIL FROM:<ari@xeris.com>\r\n" + rcpt * 4 + b"DATA\r\n\r\nbody\r\n.\r\nQUIT\r\n"
        said = empty.talk(talk)
    finally:
        control.unlink()
    assert codes(said)[2:] == [b"250", b"250", b"250", b"452", b"452", b"354", b"250", b"221"]
    empty.drained()
    assert len(empty.messages(NAME)) == 2


def test_who_hangs_up_in_the_middle_of_data_leaves_nothing(empty: MailRun) -> None:
    said = empty.talk(b"EHLO x\r\n" + ENVELOPE + HALF, hang_up=True)
    assert codes(said)[-1] == b"354", "no reply to what was not finished"
    assert queued(empty) == 0
    assert empty.messages(NAME) == []


# --- what fails underneath -----


def test_without_auth_a_right_password_is_not_called_wrong(deployment: MailRun, begun: Begun) -> None:
    assert [future.result() for future in begun.without_auth] == [
        "-ERR [SYS/TEMP] temporary failure, try again later",
        "[UNAVAILABLE] Log-in is not possible just now. Try again later.",
        "454 temporary authentication failure (#4.7.0)",
    ]
    # The watchdog may end a process that was stopped for a minute, and the bus its connection: it comes back.
    eventually(lambda: answer_of(pop3, deployment).startswith("+OK"), "a log-in by POP3")
    eventually(lambda: answer_of(imap, deployment).startswith("OK"), "a log-in by IMAP")
    eventually(lambda: answer_of(submission, deployment).startswith("235 "), "a log-in by submission")


def test_of_a_large_message_broken_off_nothing_stays_on_the_bus(empty: MailRun, begun: Begun) -> None:
    assert codes(begun.hung_up)[-1] == b"354"
    eventually(lambda: stored_bodies(empty) == 0, "an empty BODY")
    assert empty.messages(NAME) == []


def test_a_bus_that_hangs_is_a_451_and_mail_flows_when_it_goes_on(empty: MailRun) -> None:
    empty.signal("nats-server", signal.SIGSTOP)
    try:
        assert empty.send(1, ADDRESS) == 451
    finally:
        empty.signal("nats-server", signal.SIGCONT)
    eventually(lambda: empty.send(2, ADDRESS) == 250, "mail is taken again")
    empty.drained()
    # Whether the first was stored nobody knows: its client keeps it, and a copy is better than a loss.
    assert 2 in empty.numbers(NAME)


def test_a_bus_that_dies_is_a_451_until_it_is_started_again(empty: MailRun) -> None:
    empty.signal("nats-server", signal.SIGKILL)
    seen: list[int] = []

    def taken() -> bool:
        seen.append(empty.send(len(seen), ADDRESS))
        return seen[-1] == 250

    eventually(taken, "mail is taken again")
    assert set(seen[:-1]) <= {451, 0}, "refused for now, or not answered"
    eventually(lambda: len(seen) - 1 in empty.numbers(NAME), "what was answered 250")


# --- what an administrator or a user may write -----


@pytest.mark.parametrize(("name", "line"), [("virtualdomains", "no-colon.example"), ("locals", "two words")])
def test_reload_refuses_a_bad_line_and_keeps_the_old(empty: MailRun, name: str, line: str) -> None:
    path = empty.directory / "control" / name
    before = path.read_text() if path.exists() else None
    path.write_text(f"{before or ''}{line}\n")
    try:
        done = empty.qmailctl("reload")
        number = len(path.read_text().splitlines())
        assert done.returncode == 1
        assert re.search(rf"control/{name}:{number}: expected ", done.stderr), done.stderr
        assert empty.send(1, ADDRESS) == 250
        empty.drained()
        assert empty.numbers(NAME) == [1]
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)
    assert empty.qmailctl("reload").returncode == 0


@pytest.mark.parametrize(
    ("program", "name", "line"),
    [
        ("services.queue", "virtualdomains", "no-colon.example"),
        ("services.smtpd", "databytes", "10M"),
        ("services.delivery.local", "defaultdelivery", ""),
        ("services.delivery.remote", "smtproutes", "no-colon.example"),
        ("services.pop3", "concurrencypop3", "fifty"),
        ("services.imap", "concurrencyimap", "fifty"),
        ("services.auth", "authmodulelist", "custom,cram"),
    ],
)
def test_a_role_does_not_start_with_a_bad_line(empty: MailRun, program: str, name: str, line: str) -> None:
    path = empty.directory / "control" / name
    before = path.read_text() if path.exists() else None
    path.write_text(f"{line}\n")
    said_before = empty.run.log.stat().st_size

    def told() -> bool:
        said = empty.run.log.read_bytes()[said_before:].decode(errors="replace")
        return re.search(rf": fatal: .*control/{name}:1: expected ", said) is not None

    try:
        empty.signal(program, signal.SIGTERM)
        eventually(told, f"{name} is told", 120)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)

    def well() -> bool:
        with contextlib.suppress(OSError):
            # What the next test speaks to must be up again as well, whichever role this one has stopped.
            doors = pop3(empty).startswith("+OK") and imap(empty).startswith("OK")
            return bool(doors and empty.send(1, ADDRESS) == 250 and empty.status().get("ready"))
        return False

    eventually(well, f"{program} works again")


def test_a_world_writable_dot_qmail_defers_until_it_is_closed(empty: MailRun) -> None:
    path = empty.directory / "home" / NAME / ".qmail"
    path.write_text("./Maildir/\n")
    path.chmod(0o666)
    try:
        assert empty.send(1, ADDRESS) == 250
        empty.logged("deferral: Uh-oh:_.qmail_file_is_writable._(#4.7.0)/")
        assert empty.numbers(NAME) == []
        path.chmod(0o644)
        assert empty.qmailctl("flush").returncode == 0
        empty.drained()
        assert empty.numbers(NAME) == [1]
    finally:
        path.unlink()


def deferred(deployment: MailRun, text: str) -> None:
    """A message to joni is deferred with that text, and waits."""
    before = deployment.log().count(text)
    assert deployment.send(1, ADDRESS) == 250
    eventually(lambda: deployment.log().count(text) > before, f"{text} in the log", LOGGED_SECONDS)
    assert queued(deployment) == 1


def test_a_missing_maildir_is_told_and_its_mail_waits(empty: MailRun) -> None:
    maildir = empty.maildir(NAME)
    away = maildir.rename(maildir.with_name("away"))
    try:
        deferred(empty, "deferral: Unable_to_chdir_to_maildir._(#4.2.1)/")
        assert pop3(empty) == "-ERR [SYS/TEMP] this user has no $HOME/Maildir"
        assert "This account has no Maildir. Ask the administrator to make one." in imap(empty)
    finally:
        away.rename(maildir)
    assert empty.qmailctl("flush").returncode == 0
    empty.drained()
    assert empty.numbers(NAME) == [1]


@ROOT_ONLY
def test_a_maildir_of_somebody_else_is_told_and_its_mail_waits(empty: MailRun) -> None:
    maildir = empty.maildir(NAME)
    owner = maildir.stat()
    os.chown(maildir, 0, 0)
    try:
        deferred(empty, "deferral: Unable_to_chdir_to_maildir._(#4.2.1)/")
        assert "does not belong to this user" in pop3(empty)
        assert "Maildir" in imap(empty)
    finally:
        os.chown(maildir, owner.st_uid, owner.st_gid)
    assert empty.qmailctl("flush").returncode == 0
    empty.drained()
    assert empty.numbers(NAME) == [1]
