"""What the role is started with, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.control.settings import SettingsError
from qmail.door.admission import Budget
from services.pop3.door import Door
from services.pop3.settings import read_settings


def write(directory: Path, **files: str) -> None:
    (directory / "control").mkdir()
    for name, text in {"me": "mail.xeris.com\n", **files}.items():
        (directory / "control" / name).write_text(text)


def test_defaults(tmp_path: Path) -> None:
    write(tmp_path)
    settings = read_settings({"QMAIL_DIR": str(tmp_path)})
    assert [(listener.port, listener.tls) for listener in settings.listeners] == [(110, False), (995, True)]
    assert settings.budget == Budget(400, 100)
    assert all(text.startswith(b"-ERR [SYS/TEMP]") for text in Door.refusals.values())


def test_both_limits_are_those_of_all_processes_together(tmp_path: Path) -> None:
    write(tmp_path, concurrencypop3="40\n", concurrencypop3perip="2\n")
    settings = read_settings({"QMAIL_DIR": str(tmp_path), "PROCESSES": "3"})
    assert settings.budget == Budget(40, 2)


@pytest.mark.parametrize(("name", "value"), [("PROCESSES", "0"), ("PROCESSES", "many"), ("POP3_LISTEN", "110")])
def test_a_setting_that_cannot_work_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({"QMAIL_DIR": str(tmp_path), name: value})
