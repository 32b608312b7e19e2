"""`qmailctl check` finds what keeps mail from its way, and what may not be meant; a fresh deployment has nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.admin.commands.check_files import certificate_faults
from services.admin.commands.qmailctl import main
from services.admin.setup.certificate import make_certificate
from services.admin.setup.first_start import first_start

Check = Callable[[], tuple[int, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a first start makes, once for all."""
    directory = tmp_path_factory.mktemp("made")
    first_start({"QMAIL_DIR": str(directory)})
    return directory


@pytest.fixture
def directory(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment that was never started."""
    for name in ("IDENTITY", "RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QMAIL_DIR", str(tmp_path))
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def check(directory: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    def run() -> tuple[int, str]:
        capsys.readouterr()
        return main(["check"]), capsys.readouterr().out

    return run


def test_what_the_first_start_makes_has_no_fault(check: Check) -> None:
    assert check() == (0, "No fault in control files, aliases, rules and certificate.\n")


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("control/databytes", "10M\n", "control/databytes:1: expected a number of bytes, found '10M'"),
        ("control/concurrencyincoming", "fifty\n", "concurrencyincoming:1: expected a number of connections"),
        ("control/smtpdhandler", "filter.py\n", "smtpdhandler:1: expected package.module:Class, found 'filter.py'"),
        ("control/rcpthosts", "a.org\nb.org # ours\n", "control/rcpthosts:2: expected one domain, or .domain, found"),
        ("control/me", "", "control/me: missing; expected this host's name"),
        ("control/tcp.smtp", "127.:permit\n", "tcp.smtp: line 1: 'permit'; expected allow or deny after the colon"),
        ("control/tcp.smtp", ':allow,RELAYCLIENT=""\n', "tcp.smtp: line 1: RELAYCLIENT for everybody: an open relay"),
        ("alias/.qmail-a.b", "ari\n", ".qmail-a.b: never read, since a dot in an address is a colon here; "
                                      "expected .qmail-a:b"),
        ("alias/.qmail-Info", "ari\n", ".qmail-Info: never read, since addresses are looked up in lower case"),
        ("alias/.qmail-list", "ari\njoni\r\n", ".qmail-list: line 2 ends with CR"),
        ("control/authldaprc", "LDAP_BINDPW hunter2\n", "authldaprc: users' programs can read the password in it; exp"),
        ("tls/cert.pem", "no certificate\n", "tls/cert.pem: cannot be understood; expected the certificate in PEM"),
        ("tls/key.pem", "no key\n", "tls/key.pem: cannot be understood; expected the certificate's key in PEM"),
    ],
)  # fmt: skip
def test_faults(directory: Path, check: Check, name: str, content: str, fault: str) -> None:
    (directory / name).write_text(content)
    code, said = check()
    assert "hunter2" not in said
    assert code == 1 and [line for line in said.splitlines() if line.startswith("fault: ")] == [said.splitlines()[0]]
    assert fault in said


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("badmailto", "a@b.org\n", "control/badmailto is never read; recipients are refused by badrcptto"),
        ("badrcptto", "joe@penthouse.com\n@playboy.com\nold@xeris.com\n*@spam.org\n",
         "control/badrcptto: @playboy.com, joe@penthouse.com: no recipient of ours; if senders are meant, as in the "
         "tutorial, badmailfrom is"),
        ("rcpthost", "a.org\n", "control/rcpthost is never read; did you mean rcpthosts?"),
        ("Locals", "a.org\n", "control/Locals is never read; did you mean locals?"),
        ("unheard-of", "x\n", "control/unheard-of is never read; no program of ours has such a file"),
        ("databytes", "1000\n# for now\n2000\n", "control/databytes:3: only the first line is read"),
        ("locals", "xeris.com\n", "control/locals: without mail.xeris.com (control/me)"),
        ("rcpthosts", "mail.xeris.com\n", "control/rcpthosts: without xeris.com: strangers cannot send to it"),
        ("virtualdomains", "xeris.com:joni\n", "control/virtualdomains: xeris.com is in control/locals, too"),
        ("tcp.smtp", '10.:allow,RELAYCLIENT="yes"\n', 'tcp.smtp: line 1: RELAYCLIENT="yes" is added to each recipient'),
        ("tcp.smtp", '10.:allow,DATABYTES="10M"\n', 'tcp.smtp: line 1: DATABYTES="10M" is 10 bytes; expected a number'),
        ("tcp.smtp", '10.:allow,RELAY=""\n', "tcp.smtp: line 1: RELAY is used by nothing here"),
        ("tcp.smtp", "10.:allow\n10.:deny\n", "tcp.smtp: line 2: no effect, line 1 is for the same clients"),
        ("tcp.smtp", '=:allow,RELAYCLIENT=""\n', "tcp.smtp: line 1: RELAYCLIENT for whoever has a name"),
        ("tcp.smtp", ":deny\n", "tcp.smtp: line 1: whoever has no rule of his own is refused"),
    ],
)  # fmt: skip
def test_notes_of_what_is_taken_and_may_not_be_meant(
    directory: Path, check: Check, name: str, content: str, note: str
) -> None:
    (directory / "control" / name).write_text(content)
    code, said = check()
    assert code == 0 and f"note: {note}" in said.replace(f"{directory}/control/", "")


def test_what_a_client_would_get(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nobody answers there.
    monkeypatch.setenv("DNS_SERVER", "127.0.0.1:9")
    (directory / "control" / "tcp.smtp").write_text('10.:allow,RELAYCLIENT="@fix"\n=.spam.org:deny\n')
    assert main(["check", "10.0.0.1"]) == 0
    assert capsys.readouterr().out == (
        "client 10.0.0.1\nrule 10.:\nset environment variable RELAYCLIENT=@fix\nallow connection\n"
        "It may send to any domain; @fix is added to each recipient.\n"
    )
    assert main(["check", "192.0.2.7", "mx.Spam.org"]) == 0
    assert capsys.readouterr().out == (
        "client 192.0.2.7, mx.spam.org\nrule =.spam.org:\ndeny connection\nIt hears 421 and is turned away.\n"
    )
    monkeypatch.setattr("qmail.role.remote_hosts.LOOKUP_SECONDS", 0.2)
    assert main(["check", "192.0.2.7"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("client 192.0.2.7, whose name cannot be looked up now")
    assert main(["check", "pc7"]) == 1
    assert main(["check", "10.0.0.1", "a", "b"]) == 1


def test_which_entries_refuse_an_address(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "control" / "badmailfrom").write_text("@playboy.com\n")
    (directory / "control" / "badrcptto").write_text("*-list@xeris.com\n!our-list@xeris.com\n")
    for address, sender, recipient in (
        ("Bunny@playboy.com", "refused by @playboy.com in", "not refused by"),
        ("a-list@xeris.com", "not refused by", "refused by *-list@xeris.com in"),
        ("our-list@xeris.com", "not refused by", "not refused by"),
    ):
        assert main(["check", address]) == 0
        said = f"as sender: {sender} control/badmailfrom\nas recipient: {recipient} control/badrcptto\n"
        assert capsys.readouterr().out == said
    assert main(["check", "a@b", "c"]) == 1


def test_missing_files_that_open_or_close_a_door_are_noted(directory: Path, check: Check) -> None:
    for name in ("databytes", "rcpthosts"):
        (directory / "control" / name).unlink()
    (directory / "control" / "morercpthosts").write_text("a.org\n")
    said = check()[1]
    assert "control/databytes: missing; messages of any size are taken" in said
    assert "control/rcpthosts: missing; strangers may send to locals and virtualdomains alone" in said
    assert "control/morercpthosts: no effect without control/rcpthosts" in said


def test_what_editors_leave_is_not_spoken_of(directory: Path, check: Check) -> None:
    for name in ("locals~", ".rcpthosts.swp", "me.bak", "#me#"):
        (directory / "control" / name).write_text("x\n")
    assert check()[1].count("\n") == 1


def test_an_alias_that_others_may_write_or_alias_cannot_read(directory: Path, check: Check) -> None:
    (directory / "alias" / ".qmail-root").chmod(0o666)
    (directory / "alias" / ".qmail-postmaster").unlink()
    said = check()[1]
    assert ".qmail-root: mode 0666: others may write; expected 0644, or mail for it waits" in said
    assert ".qmail-postmaster: missing; expected an address, since every domain has a postmaster" in said
    (directory / "alias" / ".qmail-default").write_text("ari\n")
    assert "postmaster" not in check()[1]
    (directory / "alias").chmod(0o1757)
    said = check()[1]
    assert "alias: mode 1757: others may write" in said and "alias: sticky" in said


NOW = datetime(2026, 11, 28, tzinfo=UTC)


def faults_of(directory: Path, certificate: bytes, key: bytes, now: datetime = NOW) -> str:
    (directory / "cert.pem").write_bytes(certificate)
    (directory / "key.pem").write_bytes(key)
    return "\n".join(certificate_faults(directory, "mail.xeris.com", now))


def test_a_certificate_that_does_not_fit_its_key_this_host_or_the_date(tmp_path: Path) -> None:
    certificate, key = make_certificate("mail.xeris.com", NOW)
    assert faults_of(tmp_path, certificate, key) == ""
    other, other_key = make_certificate("other.xeris.com", NOW)
    assert "key.pem: not the key of " in faults_of(tmp_path, certificate, other_key)
    assert "for other.xeris.com; expected mail.xeris.com (control/me)" in faults_of(tmp_path, other, other_key)
    assert "ended on 2036-" in faults_of(tmp_path, certificate, key, NOW + timedelta(days=4000))
    assert "ends on 2036-" in faults_of(tmp_path, certificate, key, NOW + timedelta(days=3640))
    assert "begins on 2026-" in faults_of(tmp_path, certificate, key, NOW - timedelta(days=30))
    locked = load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    assert "key.pem: has a pass phrase; expected a key without one" in faults_of(tmp_path, certificate, locked)
    (tmp_path / "key.pem").unlink()
    assert "key.pem: No such file" in "\n".join(certificate_faults(tmp_path, "mail.xeris.com", NOW))


def test_showctl_speaks_qmail_showctl_s_sentences(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = directory / "control"
    (control / "badmailfrom").write_text("# spam\n@spam.example\r\n")
    (control / "helohost").write_text("out.xeris.com\n")
    (control / "queuelifetime").write_text("x\n")
    (control / "rcpthost").write_text("x\n")
    assert main(["showctl"]) == 0
    said = capsys.readouterr().out
    for part in (
        f"qmail home directory: {directory}.\n",
        "\nbadmailfrom: \n@spam.example not accepted in MAIL FROM.\n",
        "\nbouncefrom: (Default.) Bounce user name is MAILER-DAEMON.\n",
        "\ndatabytes: SMTP DATA limit is 26214400 bytes.\n",
        "\nhelohost: SMTP client HELO host name is out.xeris.com.\n",
        "\nidhost: (Default.) Message-ID host name is mail.xeris.com.\n",
        "\nlocals: \nMessages for mail.xeris.com are delivered locally.\nMessages for xeris.com are delivered",
        "\nme: My name is mail.xeris.com.\n",
        f"\nqueuelifetime: Oops! Trouble reading this file. {control}/queuelifetime:1: expected a number of seconds",
        "\nsmtproutes: (Default.) No artificial SMTP routes.\n",
        "\nvirtualdomains: (Default.) No virtual domains.\n",
        "\nrcpthost: I have no idea what this file does. control/rcpthost is never read; did you mean rcpthosts?\n",
    ):
        assert part in said
    assert "\x1b" not in said
