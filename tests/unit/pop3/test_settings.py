"""What the role is started with, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.door.settings import SettingsError
from services.pop3.settings import read_settings


def test_defaults(tmp_path: Path) -> None:
    settings = read_settings({"QMAIL_DIR": str(tmp_path)})
    assert [(listener.port, listener.tls) for listener in settings.listeners] == [(110, False), (995, True)]
    assert (settings.limits.connections, settings.limits.connections_per_ip) == (400, 100)
    assert settings.limits.refusal.startswith(b"-ERR [SYS/TEMP]")


def test_processes_share_both_limits(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "concurrencypop3").write_text("40\n")
    (tmp_path / "control" / "concurrencyperip").write_text("2\n")
    settings = read_settings({"QMAIL_DIR": str(tmp_path), "PROCESSES": "3"})
    assert (settings.limits.connections, settings.limits.connections_per_ip) == (14, 1)


@pytest.mark.parametrize(("name", "value"), [("PROCESSES", "0"), ("PROCESSES", "many"), ("POP3_LISTEN", "110")])
def test_a_setting_that_cannot_work_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({"QMAIL_DIR": str(tmp_path), name: value})
