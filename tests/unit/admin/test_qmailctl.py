"""What qmailctl's commands leave behind."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from services.admin.first_start import FIRST_PASSWORD, first_start
from services.admin.qmailctl import COMMANDS, main
from services.admin.usage import HELP


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


def test_a_message_is_put_by_root_unless_the_caller_says_who(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sender in ("root", "joni"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"to: ari\n\nhello\n")))
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO()))
        assert main(["inject", "-n"]) == 0
        sys.stdout.flush()
        shown = sys.stdout.buffer
        assert isinstance(shown, io.BytesIO)
        assert f"From: {sender}@mail.xeris.com".encode() in shown.getvalue()
        monkeypatch.setenv("QMAILUSER", "joni")


def test_help_names_every_command() -> None:
    assert [name for name in COMMANDS if name not in HELP] == ["help"]
