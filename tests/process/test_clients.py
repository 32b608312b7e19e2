"""Other people's mail programs send, read and file mail: mutt, fetchmail, curl, swaks, msmtp, mbsync, Python's library.

By STARTTLS with the deployment's own certificate, which each is told to accept. The packages are those of .ci/packages.
"""

from __future__ import annotations

import mailbox
import poplib
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import HOST, Client
from tests.support.deployment import unverified
from tests.support.documents import blocks
from tests.support.make_run import MakeRun
from tests.support.needs import need
from tests.support.source import ROOT


@pytest.fixture(scope="module")
def run() -> Iterator[MakeRun]:
    """One deployment for all, below a directory that every role's uid may enter."""
    directory = Path(tempfile.mkdtemp(prefix="qmail-clients-"))
    directory.chmod(0o755)
    deployment = MakeRun(directory / "var")
    try:
        deployment.start()
        deployment.drain()
        yield deployment
    finally:
        deployment.stop()
        shutil.rmtree(directory)


@pytest.fixture
def joni(run: MakeRun, request: pytest.FixtureRequest, tmp_path: Path) -> Client:
    """A person of this test's own."""
    name = f"joni{abs(hash(request.node.name)) % 10**9}"
    qmailctl = [str(ROOT / "qmailctl"), "useradd", name]
    subprocess.run(qmailctl, env=run.environ, input=b"jonipass\n", check=True, timeout=180, stdout=subprocess.DEVNULL)
    return Client(run=run, name=name, password="jonipass", directory=tmp_path)


def deliver(client: Client, *subjects: str) -> None:
    """Messages in the INBOX before a program reads."""
    with smtplib.SMTP(HOST, client.port("smtp"), timeout=90) as link:
        for subject in subjects:
            link.sendmail("ari@xeris.com", [client.address], client.letter(subject))
    for subject in subjects:
        client.wait_for(subject)


def curl(client: Client, protocol: str, path: str, *argv: str) -> str:
    """curl with TLS demanded and the certificate taken as it is."""
    secure = ("--silent", "--show-error", "--insecure", "--ssl-reqd", "--user", f"{client.name}:{client.password}")
    scheme = "smtp" if protocol == "submission" else protocol
    return client.program("curl", *secure, *argv, f"{scheme}://{HOST}:{client.port(protocol)}/{path}")


# --- sending -----


def test_swaks_sends_with_a_password(joni: Client) -> None:
    server = ("--server", f"{HOST}:{joni.port('submission')}", "--tls")
    login = ("--auth", "PLAIN", "--auth-user", joni.name, "--auth-password", joni.password)
    said = joni.program(
        "swaks", *server, *login, "--from", joni.address, "--to", joni.address, "--header", "Subject: dari swaks"
    )
    assert "=== TLS started" in said and " 235 " in said
    joni.wait_for("dari swaks")


def test_swaks_is_told_that_a_guest_may_not_submit(joni: Client) -> None:
    server = ("--server", f"{HOST}:{joni.port('submission')}", "--tls")
    refused = joni.try_program("swaks", *server, "--from", joni.address, "--to", "victim@example.net")
    assert refused.returncode != 0
    assert "<** 530 " in refused.stdout or "<~* 530 " in refused.stdout, refused.stdout


def test_msmtp_sends(joni: Client) -> None:
    joni.program(
        "msmtp",
        *(f"--host={HOST}", f"--port={joni.port('submission')}", "--tls=on", "--tls-starttls=on"),
        *("--tls-certcheck=off", "--auth=plain", f"--user={joni.name}", f"--passwordeval=echo {joni.password}"),
        *(f"--from={joni.address}", joni.address),
        text=joni.letter("dari msmtp"),
    )
    joni.wait_for("dari msmtp")


def test_curl_sends(joni: Client) -> None:
    letter = joni.file("letter", joni.letter("dari curl").replace("\n", "\r\n"))
    curl(joni, "submission", "", "--mail-from", joni.address, "--mail-rcpt", joni.address, "--upload-file", str(letter))
    joni.wait_for("dari curl")


def test_python_sends_with_a_password_and_a_wrong_one_is_refused(joni: Client) -> None:
    with smtplib.SMTP(HOST, joni.port("submission"), timeout=90) as link:
        link.starttls(context=unverified())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            link.login(joni.name, "wrong")
        link.login(joni.name, joni.password)
        link.sendmail(joni.address, [joni.address], joni.letter("dari smtplib"))
    joni.wait_for("dari smtplib")


# --- reading by POP3 -----


def test_fetchmail_fetches_and_deletes(joni: Client) -> None:
    deliver(joni, "satu", "dua", "tiga")
    rc = joni.file(
        "fetchmailrc",
        f"poll {HOST} service {joni.port('pop3')} protocol POP3 user {joni.name} password {joni.password} fetchall\n"
        '  sslproto "tls1.2+" no sslcertck mda "cat >>fetched"\n',
    )
    said = joni.program("fetchmail", "-f", str(rc), "--pidfile", str(joni.directory / "pid"), "-v")
    assert "STLS" in said
    fetched = (joni.directory / "fetched").read_text()
    assert [fetched.count(f"Subject: {subject}\n") for subject in ("satu", "dua", "tiga")] == [1, 1, 1]
    with joni.imap() as client:
        assert client.search(None, "ALL") == ("OK", [b""])


def test_fetchmail_reads_by_imap_and_marks_as_seen(joni: Client) -> None:
    deliver(joni, "lewat imap")
    rc = joni.file(
        "fetchmailrc",
        f"poll {HOST} service {joni.port('imap')} protocol IMAP user {joni.name} password {joni.password} keep\n"
        '  sslproto "tls1.2+" no sslcertck mda "cat >>fetched"\n',
    )
    joni.program("fetchmail", "-f", str(rc), "--pidfile", str(joni.directory / "pid"))
    assert "Subject: lewat imap\n" in (joni.directory / "fetched").read_text()
    assert joni.found("lewat imap", criteria="SEEN")


def test_curl_reads_by_pop3(joni: Client) -> None:
    deliver(joni, "pop3 dengan curl")
    assert curl(joni, "pop3", "").split()[0] == "1"
    assert "subject: pop3 dengan curl" in curl(joni, "pop3", "1").lower()
    curl(joni, "pop3", "1", "--request", "DELE", "--head")
    assert not joni.found("pop3 dengan curl")


def test_python_reads_by_pop3(joni: Client) -> None:
    deliver(joni, "satu", "dua")
    link = poplib.POP3(HOST, joni.port("pop3"), timeout=90)
    link.stls(unverified())
    link.user(joni.name)
    link.pass_(joni.password)
    count, size = link.stat()
    assert count == 2 and size == sum(int(line.split()[1]) for line in link.list()[1])
    assert len({line.split()[1] for line in link.uidl()[1]}) == 2
    # Both may have come in one second, and the order of the two is that of their times.
    texts = [link.retr(number)[1] for number in (1, 2)]
    kept, deleted = ("satu", "dua") if b"Subject: satu" in texts[0] else ("dua", "satu")
    assert f"Subject: {kept}".encode() in texts[0] and f"Subject: {deleted}".encode() in texts[1]
    assert b"halo" not in link.top(2, 0)[1]
    link.dele(1)
    link.rset()
    link.dele(2)
    link.quit()
    assert joni.found(kept) and not joni.found(deleted)


# --- reading and filing by IMAP -----


def test_curl_reads_and_files_by_imap(joni: Client) -> None:
    deliver(joni, "imap dengan curl")
    letter = joni.file("letter", joni.letter("disimpan").replace("\n", "\r\n"))
    curl(joni, "imap", "", "--request", "CREATE INBOX.arsip")
    curl(joni, "imap", "INBOX.arsip", "--upload-file", str(letter))
    curl(joni, "imap", "INBOX", "--request", "COPY 1 INBOX.arsip")
    curl(joni, "imap", "INBOX", "--request", r"STORE 1 +FLAGS (\Flagged)")
    assert '"INBOX.arsip"' in curl(joni, "imap", "")
    assert "Subject: imap dengan curl" in curl(joni, "imap", "INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(SUBJECT)")
    assert joni.found("disimpan", "INBOX.arsip") and joni.found("imap dengan curl", "INBOX.arsip")
    assert joni.found("imap dengan curl", criteria="FLAGGED")


def test_python_reads_and_files_by_imap(joni: Client) -> None:
    deliver(joni, "imap dengan python")
    with joni.imap() as link:
        assert link.create("INBOX.arsip")[0] == "OK"
        assert link.append("INBOX.arsip", r"(\Seen)", "", joni.letter("disimpan").encode())[0] == "OK"
        assert link.copy("1", "INBOX.arsip")[0] == "OK"
        assert link.store("1", "+FLAGS", r"(\Deleted)")[0] == "OK"
        assert link.expunge() == ("OK", [b"1"])
        assert link.status("INBOX.arsip", "(MESSAGES UNSEEN)") == ("OK", [b'"INBOX.arsip" (MESSAGES 2 UNSEEN 1)'])
    assert joni.found("disimpan", "INBOX.arsip", "SEEN") and not joni.found("imap dengan python")


def test_mbsync_carries_a_whole_account_there_and_back(joni: Client) -> None:
    deliver(joni, "satu", "dua")
    with joni.imap() as link:
        link.create("INBOX.arsip")
        link.copy("1", "INBOX.arsip")
    (joni.directory / "mail").mkdir()
    (text,) = [block.text for block in blocks(ROOT / "docs/8-clients.md") if block.text.startswith("IMAPAccount")]
    ours = {"Port 143": f"Port {joni.port('imap')}", "User joni": f"User {joni.name}", "~/": f"{joni.directory}/"}
    for said, here in ours.items():
        assert said in text
        text = text.replace(said, here)
    shutil.copy(joni.certificate, joni.directory / "cert.pem")
    rc = joni.file("mbsyncrc", text)
    joni.program("mbsync", "-c", str(rc), "all")
    near = mailbox.Maildir(joni.directory / "mail" / "INBOX", create=False)
    assert sorted(message["subject"] for message in near) == ["dua", "satu"]
    assert len(list((joni.directory / "mail").rglob("cur/*")) + list((joni.directory / "mail").rglob("new/*"))) == 3

    near.add(mailbox.MaildirMessage(joni.letter("ditulis di sini")))
    (key,) = (key for key, message in near.items() if message["subject"] == "dua")
    message = near[key]
    message.set_subdir("cur")
    message.set_flags("FS")
    near[key] = message
    joni.program("mbsync", "-c", str(rc), "all")
    assert joni.found("ditulis di sini") and joni.found("dua", criteria="FLAGGED SEEN")


def test_mbsync_moves_an_account_from_a_running_server(run: MakeRun, joni: Client) -> None:
    """docs/moving.md: twice, and what was there the first time comes once."""
    new = Client(run=run, name=f"{joni.name}b", password="barupass", directory=joni.directory)
    qmailctl = [str(ROOT / "qmailctl"), "useradd", new.name]
    subprocess.run(qmailctl, env=run.environ, input=b"barupass\n", check=True, timeout=180, stdout=subprocess.DEVNULL)
    deliver(joni, "satu")
    with joni.imap() as link:
        link.create("INBOX.arsip")
        link.copy("1", "INBOX.arsip")
        link.store("1", "+FLAGS", "\\Flagged")
    (joni.directory / "state").mkdir()
    (text,) = [block.text for block in blocks(ROOT / "docs/moving.md") if block.text.startswith("IMAPAccount old")]
    for client, host in ((joni, "old"), (new, "mail")):
        mine = f"Host {HOST}\nPort {client.port('imap')}\nUser {client.name}\nPass {client.password}\n"
        said = f"Host {host}.xeris.com\nUser joni\nPass jonipass\n"
        assert said in text
        text = text.replace(said, mine)
    text = text.replace("~/old.pem", str(joni.certificate)).replace("~/new.pem", str(joni.certificate))
    rc = joni.file("mbsyncrc", text.replace("~/", f"{joni.directory}/"))
    joni.program("mbsync", "-c", str(rc), "move")
    deliver(joni, "dua")
    joni.program("mbsync", "-c", str(rc), "move")
    assert new.found("satu", criteria="FLAGGED") and new.found("dua") and new.found("satu", "INBOX.arsip")
    with new.imap() as link:
        assert link.select("INBOX")[1] == [b"2"]


# --- mutt -----


def muttrc(joni: Client) -> Path:
    """mutt in batch: no record of what is sent, no questions but those that are answered."""
    account = f"{joni.name}@{HOST}"
    return joni.file(
        "muttrc",
        f"set from={joni.address} use_envelope_from=yes record='' header_cache='' wait_key=no quit=yes\n"
        f"set confirmappend=no confirmcreate=no delete=yes move=no mark_old=no folder=imap://{HOST}:{joni.port('imap')}/\n"
        f"set smtp_url=smtp://{account}:{joni.port('submission')}/ smtp_pass={joni.password}\n"
        f"set imap_user={joni.name} imap_pass={joni.password} pop_user={joni.name} pop_pass={joni.password}\n"
        f"set ssl_starttls=yes ssl_force_tls=yes ssl_verify_host=no certificate_file={joni.certificate}\n",
    )


def mutt(joni: Client, url: str, keys: str) -> None:
    """mutt at a terminal, which `script` gives it, with keys pressed by `push`."""
    mutt_with(joni, muttrc(joni), url, keys)


def mutt_with(joni: Client, rc: Path, url: str, keys: str) -> None:
    """The same, with another file of settings."""
    command = f"{need('mutt')} -n -F {rc} -e 'push \"{keys}\"' -f {url}"
    joni.program("script", "-qec", command, "/dev/null", environ={"TERM": "xterm"})


def test_mutt_sends(joni: Client) -> None:
    joni.program("mutt", "-n", "-F", str(muttrc(joni)), "-s", "dari mutt", joni.address, text="halo\n")
    joni.wait_for("dari mutt")


def test_mutt_reads_flags_and_files_by_imap(joni: Client) -> None:
    deliver(joni, "dibaca mutt")
    with joni.imap() as link:
        link.create("INBOX.arsip")
    keys = "<pipe-message>cat >seen<enter><flag-message><copy-message>=INBOX.arsip<enter><sync-mailbox><quit>"
    mutt(joni, f"imap://{HOST}:{joni.port('imap')}/INBOX", keys)
    assert "Subject: dibaca mutt\n" in (joni.directory / "seen").read_text()
    assert joni.found("dibaca mutt", "INBOX.arsip") and joni.found("dibaca mutt", criteria="FLAGGED")


def test_mutt_answers(joni: Client) -> None:
    deliver(joni, "pertanyaan")
    editor = joni.file("editor", '#!/bin/sh\necho jawaban >>"$1"\n')
    editor.chmod(0o700)
    rc = muttrc(joni)
    rc.write_text(rc.read_text() + f"set editor={editor} include=yes fast_reply=yes autoedit=yes reply_self=yes\n")
    # y sends; a name in brackets would be looked up among the index's functions.
    mutt_with(joni, rc, f"imap://{HOST}:{joni.port('imap')}/INBOX", "<reply>y<sync-mailbox><quit>")
    joni.wait_for("Re: pertanyaan")
    assert joni.found("pertanyaan", criteria="ANSWERED")


def test_mutt_reads_by_pop3(joni: Client) -> None:
    deliver(joni, "pop3 dengan mutt")
    mutt(joni, f"pop://{HOST}:{joni.port('pop3')}", "<pipe-message>cat >seen<enter><quit>")
    assert "Subject: pop3 dengan mutt\n" in (joni.directory / "seen").read_text()
