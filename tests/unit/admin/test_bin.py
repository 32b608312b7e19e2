"""qmail's own commands: what they print and leave, and their exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.admin.commands import bin as programs
from services.admin.commands.queue_client import QueueClient, QueueUnreachable
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


def test_a_maildir_is_made_once_and_for_its_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "Maildir"
    assert programs.main("maildirmake", [str(made)]) == 0
    assert {(path.name, path.stat().st_mode & 0o777) for path in (made, *made.iterdir())} == {
        (name, 0o700) for name in ("Maildir", "cur", "new", "tmp")
    }
    assert programs.main("maildirmake", [str(made)]) == 111
    assert capsys.readouterr().err == f"maildirmake: fatal: unable to mkdir {made}: File exists\n"


def test_maildirmake_says_what_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    assert programs.main("maildirmake", []) == 100
    assert capsys.readouterr().err == "maildirmake: usage: maildirmake name\n"


def test_every_program_has_its_place_in_the_image() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"for name in qmailctl {' '.join(programs.PROGRAMS)}; do" in text
