"""What the role is started with, what it refuses, and when it counts as healthy."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.mail_access import SettingsError
from services.pop3 import health
from services.pop3.settings import read_settings
from tests.support.greeter import greeter


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


@pytest.mark.parametrize(("greeting", "code"), [(b"+OK <1.2@mail.xeris.com>\r\n", 0), (b"-ERR full\r\n", 1)])
def test_health_is_the_greeting(monkeypatch: pytest.MonkeyPatch, greeting: bytes, code: int) -> None:
    with greeter(greeting) as port:
        monkeypatch.setenv("POP3_LISTEN", f"127.0.0.1:{port}")
        assert health.main() == code
    assert health.main() == 1
