"""qmail's own commands: what they print and leave, and their exit codes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from services.admin.commands import bin as programs
from services.admin.commands.queue_client import QueueClient, QueueUnreachable
from services.admin.setup.first_start import first_start
from services.programs.maildirmake import maildirmake
from tests.support.source import ROOT

MESSAGE = {
    "id": 217613928334020000,
    "accepted": 1054038913,
    "bytes": 312,
    "sender": "ari@xeris.com",
    "bouncing": False,
    "recipients": [{"channel": "local", "address": "joni@xeris.com", "done": False}],
}


class Queue(QueueClient):
    """One message waits."""

    def status(self) -> dict[str, Any]:
        return {"messages": 1, "unread": 0}

    def messages(self) -> list[dict[str, Any]]:
        return [MESSAGE]


class Away(QueueClient):
    """Nobody answers."""

    def status(self) -> dict[str, Any]:
        raise QueueUnreachable("queue at http://queue:2180: away")


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QMAIL_DIR", str(tmp_path))
    (tmp_path / "credentials").mkdir()
    path = tmp_path / "credentials" / "http.token"
    path.write_text("secret\n")
    return path


@pytest.mark.usefixtures("token")
def test_the_queue_is_counted_and_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(programs, "QueueClient", Queue)
    assert programs.main("qmail-qstat", []) == 0
    assert capsys.readouterr().out == "messages in queue: 1\nmessages in queue but not yet preprocessed: 0\n"
    assert programs.main("qmail-qread", []) == 0
    assert capsys.readouterr().out == (
        "27 May 2003 12:35:13 GMT  #217613928334020000  312  <ari@xeris.com> \n\tlocal\tjoni@xeris.com\n"
    )


def test_a_queue_that_cannot_be_asked_is_told(
    token: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(programs, "QueueClient", Away)
    assert programs.main("qmail-qstat", []) == 111
    assert capsys.readouterr().err == "qmail-qstat: fatal: queue at http://queue:2180: away\n"
    token.unlink()
    assert programs.main("qmail-qread", []) == 111
    assert capsys.readouterr().err.startswith("qmail-qread: fatal: ")


def test_every_program_has_its_place_in_the_image() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"for name in qmailctl {' '.join(programs.PROGRAMS)}; do" in text


def typed(line: str, monkeypatch: pytest.MonkeyPatch, stdin: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    name, *arguments = line.split()
    return programs.main(name, arguments)


def test_an_account_is_made_and_given_a_password_as_the_tutorial_types_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QMAIL_DIR", str(tmp_path))
    monkeypatch.delenv("IDENTITY", raising=False)
    first_start({"QMAIL_DIR": str(tmp_path)})
    with pytest.raises(SystemExit):
        maildirmake([os.fsencode(tmp_path / "skel/Maildir")])  # skel is the administrator's to make
    (tmp_path / "skel").mkdir()
    assert maildirmake([os.fsencode(tmp_path / "skel/Maildir")]) == 0
    (tmp_path / "skel/.mailfilter").write_text("# yours\n")
    capsys.readouterr()
    assert typed("useradd joni", monkeypatch) == 0 and capsys.readouterr().out == ""
    assert (tmp_path / "home/joni/.mailfilter").read_text() == "# yours\n"
    assert "joni:!\n" in (tmp_path / "auth/passwd").read_text(), "nobody logs in before there is a password"
    assert typed("passwd joni", monkeypatch, "jonipass\n") == 0
    assert capsys.readouterr().out == (
        "Changing password for user joni.\npasswd: all authentication tokens updated successfully.\n"
    )
    assert "joni:$argon2id$" in (tmp_path / "auth/passwd").read_text()
    assert typed("usermod -L joni", monkeypatch) == 0
    assert "joni:!$argon2id$" in (tmp_path / "auth/passwd").read_text()
    assert typed("userdel -r joni", monkeypatch) == 0 and not (tmp_path / "home/joni").exists()


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("groupadd nogroup", 0, "groupadd: nogroup: no group is needed"),
        ("useradd -g nogroup -d /var/qmail/alias alias", 0, "useradd: alias is here already: the owner of"),
        ("useradd -g nogroup -d /var/qmail qmaild", 0, "useradd: qmaild is here already: the role smtpd"),
        ("useradd ari", 2, "useradd: ari: this account exists already"),
        ("useradd Ari", 2, "useradd: 'Ari' cannot be a name"),
        ("useradd", 2, "useradd: expected one name"),
        ("passwd sarah", 2, "passwd: sarah: no such account"),
        ("passwd ari", 2, "passwd: the password is empty"),
        ("usermod -d /tmp ari", 2, "usermod: expected -L or -U and a name"),
    ],
)
def test_what_the_machine_says_of_accounts_that_it_does_not_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, code: int, said: str
) -> None:
    monkeypatch.setenv("QMAIL_DIR", str(tmp_path))
    monkeypatch.delenv("IDENTITY", raising=False)
    first_start({"QMAIL_DIR": str(tmp_path)})
    capsys.readouterr()
    assert typed(line, monkeypatch, "\n") == code
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
