"""What users write into .qmail: qmail's own programs by their names, and maildrop with its companions as printed."""

from __future__ import annotations

import email
import email.message
import os
import re
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import HOST
from tests.support.deployment import eventually
from tests.support.documents import blocks
from tests.support.make_run import MakeRun
from tests.support.needs import missing, need
from tests.support.source import ROOT

PASSWORD = b"rahasia-sekali\n"


class House:
    """One deployment, and what its people do."""

    def __init__(self, run: MakeRun) -> None:
        self.run = run

    def control(self, *arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            [str(ROOT / "qmailctl"), *arguments], env=self.run.environ, input=stdin, capture_output=True, timeout=180
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def user(self, name: str) -> str:
        self.control("useradd", name, stdin=PASSWORD)
        return name

    def write(self, user: str, name: str, content: str) -> None:
        self.control("su", user, "-c", f"cat >{name}", stdin=content.encode())

    def send(self, recipient: str, subject: str, sender: str = "ari@xeris.com", header: str = "") -> None:
        text = f"From: {sender or 'Mailer'}\nTo: {recipient}@xeris.com\nSubject: {subject}\n{header}\nNgetes\n"
        with smtplib.SMTP(HOST, self.run.ports["SMTP_PORT"], timeout=90) as link:
            link.sendmail(sender, [f"{recipient}@xeris.com"], text)

    def messages(self, user: str, folder: str = "") -> list[email.message.Message]:
        new = self.run.directory / "home" / user / "Maildir" / folder / "new"
        return [email.message_from_bytes(path.read_bytes()) for path in sorted(new.iterdir())]

    def message(self, user: str, subject: str, folder: str = "") -> email.message.Message:
        def look() -> email.message.Message | None:
            return next((each for each in self.messages(user, folder) if each["Subject"] == subject), None)

        return eventually(look, f"{subject} in {user}'s {folder or 'INBOX'}")

    def log(self) -> str:
        return self.run.log.read_text(errors="replace")

    def until_empty(self) -> None:
        eventually(lambda: "messages in queue: 0\n" in self.control("queue"), "an empty queue")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Below a directory that every uid may enter."""
    directory = Path(tempfile.mkdtemp(prefix="qmail-programs-"))
    directory.chmod(0o755)
    run = MakeRun(directory / "var")
    try:
        run.start()
        run.drain()
        yield House(run)
    finally:
        run.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def diva(house: House) -> str:
    return house.user("diva")


def test_qmail_s_programs_are_found_by_their_names(house: House, diva: str) -> None:
    joni = house.user("joni")
    house.write(joni, ".qmail-forward", "|forward diva@xeris.com\n")
    house.write(joni, ".qmail-cond", "|condredirect diva true\n./Maildir/\n")
    house.write(joni, ".qmail-kept", "|condredirect diva grep -q geheim\n./Maildir/\n")
    house.write(joni, ".qmail-except", "|except false\n./Maildir/\n")
    house.write(joni, ".qmail-preline", "|preline cat >preline.out\n")
    house.write(joni, ".qmail-bs", "|bouncesaying 'This address no longer accepts mail.'\n")
    for extension in ("forward", "cond", "kept", "except", "preline"):
        house.send(f"joni-{extension}", extension)
    house.send("joni-bs", "bounced", sender="diva@xeris.com")
    forwarded = house.message(diva, "forward")
    assert forwarded.get_all("Delivered-To") == ["diva@xeris.com", "joni-forward@xeris.com"]
    assert house.message(diva, "cond")["Return-Path"] == "<ari@xeris.com>"
    house.message(joni, "kept")
    house.message(joni, "except")
    bounce = house.message(diva, "failure notice").as_string()
    assert "<joni-bs@xeris.com>:\nThis address no longer accepts mail.\n" in bounce
    house.until_empty()
    kept = (house.run.directory / "home" / joni / "preline.out").read_text()
    assert kept.startswith("From ari@xeris.com ") and "\nDelivered-To: joni-preline@xeris.com\n" in kept
    assert not any(each["Subject"] == "cond" for each in house.messages(joni))


def test_maildrop_as_printed(house: House) -> None:
    need("maildrop")
    user = house.user("saring")
    house.write(user, ".qmail", "| /usr/bin/maildrop\n")
    if os.geteuid() == 0:
        house.send(user, "no filter")
        house.message(user, "no filter")
    default = "" if os.geteuid() == 0 else 'to "./Maildir/"\n'
    house.control("su", user, "-c", "maildirmake Maildir/.Spam")
    house.write(user, ".mailfilter", 'if (/^Subject: .*SPAM/)\n{\n    to "./Maildir/.Spam/"\n}\n' + default)
    house.send(user, "beli SPAM")
    house.send(user, "matches nothing")
    house.message(user, "beli SPAM", ".Spam")
    house.message(user, "matches nothing")
    house.write(user, ".mailfilter", "xfilter \"reformail -A 'X-Saring: ya'\"\n" + default)
    house.send(user, "changed")
    assert house.message(user, "changed")["X-Saring"] == "ya"


def test_a_vacation_answers_people_once_and_lists_and_daemons_never(house: House, diva: str) -> None:
    need("maildrop")
    if os.geteuid():
        missing("uid 0, which alone can put the image's maildroprc in its place")
    (recipe,) = [block.text for block in blocks(ROOT / "docs" / "4-tools.md") if "mailbot" in block.text]
    user = house.user("libur")
    house.write(user, ".mailfilter", recipe.replace("joni@", "libur@") + "\n")
    house.write(user, "cuti.txt", "Saya cuti.\n")
    house.write(user, ".qmail", "| preline /usr/bin/maildrop\n")
    for number, (sender, header) in enumerate(
        (
            ("diva@xeris.com", "List-Id: <milis.xeris.com>\n"),
            ("diva@xeris.com", "Precedence: bulk\n"),
            ("diva@xeris.com", "Auto-Submitted: auto-generated\n"),
            ("diva-owner@xeris.com", ""),
            ("", ""),
        )
    ):
        house.send(user, f"not to be answered {number}", sender, header)
        house.message(user, f"not to be answered {number}")
    house.send(user, "first", "diva@xeris.com")
    answer = house.message(diva, "Re: first")
    assert answer["Return-Path"] == "<>" and answer["Auto-Submitted"] == "auto-replied"
    assert "Saya cuti." in answer.as_string()
    house.send(user, "second", "diva@xeris.com")
    house.message(user, "second")
    house.until_empty()
    answers = [each["Subject"] for each in house.messages(diva) if str(each["Subject"]).startswith("Re: ")]
    assert answers == ["Re: first"]


def test_a_program_without_its_bar_is_named(house: House) -> None:
    user = house.user("lupa")
    house.write(user, ".qmail", "/usr/local/bin/maildrop-lupa\n")
    house.send(user, "to a program without a bar")
    said = "lupa: .qmail line '/usr/local/bin/maildrop-lupa' is an mbox of that name; a program has | before it"
    if os.geteuid() == 0:
        eventually(lambda: said in house.log(), "the log's line")
    checked = house.control("check")
    assert "/lupa/.qmail: line 1: /usr/local/bin/maildrop-lupa is an mbox of that name; a program has |" in checked
    house.write(user, ".qmail", "./Maildir/\n")
    house.control("doqueue")
    house.until_empty()


def typed(house: House, command: str) -> subprocess.CompletedProcess[str]:
    """In a shell of the administrator's, whose path has QMAIL_DIR/bin in front."""
    path = f"{house.run.directory / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": path}, capture_output=True, text=True, timeout=180, check=False
    )


def test_the_services_of_the_tutorial_s_qmailctl(house: House) -> None:
    told = typed(
        house, "svstat /service/qmail-send /service/qmail-send/log /service/qmail-pop3d /service/nobody"
    ).stdout
    assert re.fullmatch(
        r"/service/qmail-send: up \(pid \d+\) \d+ seconds\n"
        r"/service/qmail-send/log: up \(pid \d+\) \d+ seconds\n"
        r"/service/qmail-pop3d: up \(pid \d+\) \d+ seconds\n"
        r"/service/nobody: unable to chdir: file does not exist\n",
        told,
    ), told
    assert typed(house, "svok /service/qmail-smtpd").returncode == 0
    assert typed(house, "cd /; for o in -p -c -ah; do svc $o /service/qmail-send || exit; done").returncode == 0
    stopped = typed(house, "svc -d /service/qmail-smtpd")
    assert stopped.returncode == 111 and "type: ./qmailctl stop (all roles)" in stopped.stderr
    tcpserver = typed(house, "tcpserver -v 0 25 true")
    assert tcpserver.returncode == 111 and "control/tcp.smtp" in tcpserver.stderr


def test_checkpassword_s_interface(house: House, diva: str) -> None:
    right, wrong = (rf"printf 'diva\0{word}\0now\0'" for word in (PASSWORD.decode().strip(), "salah"))
    found = typed(house, f"{right} | checkpassword sh -c 'echo $USER $HOME; id -u' 3<&0")
    uid = (house.run.directory / "home" / diva).stat().st_uid
    assert found.stdout == f"diva {house.run.directory}/home/diva\n{uid}\n", found.stderr
    assert typed(house, f"{wrong} | checkpassword true 3<&0").returncode == 1
    assert typed(house, "checkpassword true 3</dev/null").returncode == 2
