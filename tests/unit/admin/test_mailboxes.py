"""maildir2mbox as recorded from qmail 1.03, and mbox2maildir, its way back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.admin.commands.mailboxes import maildir2mbox, mbox2maildir

CTIME = "Tue May 27 12:34:56 2003"
WHEN = 1054038896


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for folder in ("new", "cur", "tmp"):
        (tmp_path / "Maildir" / folder).mkdir(parents=True)
    return tmp_path / "Maildir"


def move(maildir: Path) -> tuple[int, str]:
    mbox = maildir.parent / "mbox"
    environ = {"MAILDIR": str(maildir), "MAIL": str(mbox), "MAILTMP": f"{mbox}.tmp"}
    code = maildir2mbox(environ)
    return code, mbox.read_text() if mbox.exists() else ""


def put(path: Path, text: str, when: int = WHEN) -> None:
    path.write_text(text)
    os.utime(path, (when, when))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Return-Path: <ari@xeris.com>\nS: 1\n\nFrom x\n", f"From ari@xeris.com {CTIME}\n{{}}>From x\n\n"),
        ("Return-Path: <>\n\nb\n", f"From MAILER-DAEMON {CTIME}\nReturn-Path: <>\n\nb\n\n"),
        ("S: 1\n\nb\n", f"From XXX {CTIME}\nS: 1\n\nb\n\n"),
        ("Return-Path: <a@b>\n\nabc", f"From a@b {CTIME}\nReturn-Path: <a@b>\n\n\n"),
        ("S: x\nReturn-Path: <a@b>\n\nx\n", f"From XXX {CTIME}\nS: x\nReturn-Path: <a@b>\n\nx\n\n"),
    ],
)
def test_a_message_moves_as_recorded(maildir: Path, text: str, expected: str) -> None:
    put(maildir / "new/1.a", text)
    expected = expected.format("Return-Path: <ari@xeris.com>\nS: 1\n\n")
    assert move(maildir) == (0, expected)
    assert not list((maildir / "new").iterdir()) and (maildir.parent / "mbox").stat().st_mode & 0o777 == 0o600


def test_what_is_there_stays_in_front_and_the_oldest_comes_first(maildir: Path) -> None:
    (maildir.parent / "mbox").write_text("From x Mon\nS: old\n\n\n")
    put(maildir / "cur/2.b:2,S", "S: 2\n\n", WHEN + 50)
    put(maildir / "new/1.a", "S: 1\n\n")
    code, text = move(maildir)
    assert code == 0 and [line for line in text.split("\n") if line.startswith("S:")] == ["S: old", "S: 1", "S: 2"]
    assert move(maildir) == (0, text), "an empty Maildir changes nothing"


@pytest.mark.parametrize(
    ("environ", "said"), [({"MAILDIR": "/x"}, "MAIL not set"), ({"MAILDIR": "/x", "MAIL": "/y"}, "MAILTMP not set")]
)
def test_a_setting_that_is_missing(environ: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert maildir2mbox(environ) == 111
    assert capsys.readouterr().err == f"maildir2mbox: fatal: {said}\n"


def test_a_full_disk_takes_nothing_from_the_maildir(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(maildir / "new/1.a", "S: 1\n\n")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device", "mbox.tmp")

    monkeypatch.setattr(os, "fsync", full)
    assert move(maildir) == (111, "") and (maildir / "new/1.a").exists()


def test_there_and_back_is_the_same_mail(maildir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["Return-Path: <a@b>\nS: 1\n\n>From you\nFrom x\n\n\nend\n", "Return-Path: <>\nS: 2\n\nFrom the sea\n\n"]
    for number, text in enumerate(texts):
        put(maildir / "new" / f"{number}.a", text, WHEN + number)
    assert move(maildir)[0] == 0
    assert mbox2maildir([str(tmp_path / "mbox"), str(maildir)]) == 0
    assert capsys.readouterr().out == "2 messages\n"
    found = [path.read_text() for path in sorted((maildir / "new").iterdir(), key=lambda path: path.name[-10:])]
    assert sorted(found) == sorted(texts) and (tmp_path / "mbox").exists()


def test_what_a_mail_program_has_said_of_a_message_is_its_flags(maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "mbox").write_text(
        "From a@b Mon\nStatus: RO\nX-Status: AF\nS: read\n\nStatus: of the body\n\n"
        "From a@b Mon\nStatus: O\nS: seen\n\n\nFrom a@b Mon\r\nS: new\r\n\r\nbody\r\n"
    )
    assert mbox2maildir([str(tmp_path / "mbox"), str(maildir)]) == 0
    cur = {path.name.rpartition(":2,")[2]: path.read_text() for path in (maildir / "cur").iterdir()}
    assert cur == {"FRS": "S: read\n\nStatus: of the body\n", "": "S: seen\n\n"}
    assert [path.read_bytes() for path in (maildir / "new").iterdir()] == [b"S: new\r\n\r\nbody\r\n"]


@pytest.mark.parametrize("text", ["no mbox\n", "\n\nSubject: x\n"])
def test_what_is_no_mbox_is_refused(maildir: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (maildir.parent / "file").write_text(text)
    assert mbox2maildir([str(maildir.parent / "file"), str(maildir)]) == 111
    assert "no mbox" in capsys.readouterr().err
    assert mbox2maildir([]) == 100 and mbox2maildir([str(maildir / "none"), str(maildir)]) == 111
