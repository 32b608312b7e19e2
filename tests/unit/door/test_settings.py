"""What pop3 and imap are started with alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.control.files import Control, ControlError
from qmail.control.paths import read_paths
from qmail.control.settings import SettingsError
from qmail.control.table import CONCURRENCYPOP3
from qmail.door import settings as door_settings
from qmail.door.admission import Budget
from qmail.door.listeners import Listener
from qmail.door.settings import Ports, Settings, read_settings

PORTS = Ports(variable="MAIL_LISTEN", default="0.0.0.0:110,0.0.0.0:995")


def read(directory: Path, **environ: str) -> Settings:
    def read_budget(control: Control) -> Budget:
        return Budget(control.get(CONCURRENCYPOP3), 1)

    (directory / "control").mkdir(exist_ok=True)
    (directory / "control" / "me").write_text("mail.xeris.com\n")
    return read_settings("pop3", {"QMAIL_DIR": str(directory), **environ}, PORTS, read_budget)


@pytest.mark.parametrize("text", [None, ""])
def test_what_is_unset_or_empty_has_its_default(tmp_path: Path, text: str | None) -> None:
    names = ("MAIL_LISTEN", "PROCESSES", "IDENTITY", "ADDRESS")
    settings = read(tmp_path, **({} if text is None else dict.fromkeys(names, text)))
    assert settings.listeners == (
        Listener(host="0.0.0.0", port=110),
        Listener(host="0.0.0.0", port=995, tls=True),
    )
    assert (settings.processes, settings.per_user, settings.address) == (1, True, "127.0.0.1")
    assert settings.paths.control == tmp_path / "control"


def test_what_is_set_is_taken(tmp_path: Path) -> None:
    settings = read(tmp_path, MAIL_LISTEN="127.0.0.1:2110", PROCESSES="64", IDENTITY="single", ADDRESS="192.0.2.1")
    assert settings.listeners == (Listener(host="127.0.0.1", port=2110),)
    assert (settings.processes, settings.per_user, settings.address) == (64, False, "192.0.2.1")


def test_the_budget_is_read_from_the_control_files_and_is_that_of_all_processes(tmp_path: Path) -> None:
    read(tmp_path)
    (tmp_path / "control" / "concurrencypop3").write_text("7\n")
    assert read(tmp_path, PROCESSES="3").budget.connections == 7
    (tmp_path / "control" / "concurrencypop3").write_text("fifty\n")
    with pytest.raises(ControlError, match="concurrencypop3:1: expected a number of connections, found 'fifty'"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("PROCESSES", "many", "PROCESSES is 'many'; expected a number from 1 to 64"),
        ("ADDRESS", "mail", "ADDRESS is 'mail'; expected an IP address of this host"),
        ("IDENTITY", "nobody", "IDENTITY is 'nobody'; expected per-user or single"),
        (
            "MAIL_LISTEN",
            "110",
            "MAIL_LISTEN: not a listener: '110'; expected host:port, host:port/tls or host:port/plain",
        ),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(tmp_path: Path, name: str, value: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, **{name: value})
    assert str(caught.value) == text


def test_gateways_are_only_a_container_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_settings, "read_gateways", lambda: frozenset({"172.29.29.1"}))
    assert read(tmp_path).gateways == frozenset()
    monkeypatch.setattr(door_settings, "read_paths", lambda environ: read_paths({"QMAIL_DIR": str(tmp_path)}))
    in_a_container = read_settings("pop3", {}, PORTS, lambda control: Budget(1, 1))
    assert in_a_container.gateways == {"172.29.29.1"}
