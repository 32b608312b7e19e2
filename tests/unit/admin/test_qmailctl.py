"""What qmailctl's commands leave behind."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import pytest

from services.admin.commands.qmailctl import COMMANDS, main
from services.admin.commands.usage import HELP
from services.admin.setup.first_start import FIRST_PASSWORD, first_start


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment that was never started."""
    for name in ("IDENTITY", "RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QMAIL_DIR", str(tmp_path))
    first_start({"QMAIL_DIR": str(tmp_path)})
    return tmp_path


def passwd(name: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO("a new one\n"))
    return main(["passwd", name])


def test_a_changed_first_password_is_shown_no_more(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = directory / "credentials" / FIRST_PASSWORD
    assert first.read_text().startswith("ari ")
    assert passwd("nobody", monkeypatch) == 1
    assert first.exists()
    assert passwd("ari", monkeypatch) == 0
    assert not first.exists()
    assert passwd("ari", monkeypatch) == 0


def test_a_quota_is_counted_in_the_mailbox(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = directory / "home/ari/Maildir/maildirsize"
    (directory / "home/ari/Maildir/new/1.a.x").write_bytes(b"x" * 70)
    assert main(["usermod", "--quota", "100000S,50C", "ari"]) == 0
    assert size.read_text() == "100000S,50C\n          70            1\n"
    assert main(["usermod", "--quota", "50", "ari"]) == 1
    assert main(["usermod", "--quota", "50C", "nobody"]) == 1
    assert "expected a quota as" in capsys.readouterr().err
    assert main(["usermod", "--quota", "none", "ari"]) == 0
    assert not size.exists()


WHO = ("QMAILUSER", "MAILUSER", "USER", "LOGNAME")


@pytest.mark.parametrize("name", [None, *WHO])
def test_a_message_is_put_by_root_unless_the_environment_says_who(
    directory: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    for each in WHO:
        monkeypatch.delenv(each, raising=False)
    if name is not None:
        monkeypatch.setenv(name, "joni")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"to: ari\n\nhello\n")))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO()))
    assert main(["inject", "-n"]) == 0
    sys.stdout.flush()
    shown = sys.stdout.buffer
    assert isinstance(shown, io.BytesIO)
    assert f"From: {'root' if name is None else 'joni'}@mail.xeris.com".encode() in shown.getvalue()


def test_the_log_is_shown_with_local_times_and_keeps_its_stamps(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    current = directory / "log" / "qmail" / "current"
    current.parent.mkdir()
    current.write_text("@400000003ed3626b075bcd15 new msg 1\nno stamp\n")
    monkeypatch.setenv("TZ", "Asia/Jakarta")
    time.tzset()
    try:
        assert main(["log"]) == 0
    finally:
        monkeypatch.undo()
        time.tzset()
    assert capfd.readouterr().out == "2003-05-27 20:04:33.123456789 new msg 1\nno stamp\n"
    assert current.read_text().startswith("@4000")


def test_a_password_for_a_relay_lies_where_delivery_remote_alone_reads_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def typed(*arguments: str, password: str = "a b") -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        return main(["routepasswd", *arguments])

    path = directory / "credentials" / "smtproutes.passwords"
    assert typed("Smart.example:587", "me") == 0
    assert typed("[::1]", "you", password="x") == 0
    assert path.read_bytes() == b"[::1]:25 you x\nsmart.example:587 me a b\n"
    assert path.stat().st_mode & 0o777 == 0o400
    assert typed("-d", "smart.example:587", "me") == 0
    assert path.read_bytes() == b"[::1]:25 you x\n"
    capsys.readouterr()
    assert typed("-d", "smart.example:587", "me") == 1
    assert "there is no password for me" in capsys.readouterr().err
    assert typed("smart.example:port", "me") == 1
    assert typed("smart.example", "me", password="") == 1


def test_help_names_every_command() -> None:
    assert [name for name in COMMANDS if name not in HELP] == ["help"]


def test_start_and_stop_from_within_say_what_to_type_instead(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["start"]) == 0
    assert "./qmailctl start at the top of the checkout" in capsys.readouterr().out
    for verb in ("stop", "restart"):
        assert main([verb]) == 1
        assert f"./qmailctl {verb} at the top of the checkout" in capsys.readouterr().err
