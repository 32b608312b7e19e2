"""What smtpd refuses to be started with."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from qmail.control.settings import SettingsError
from qmail.role.interfaces import read_interfaces
from services.smtpd.settings import check, read_settings

LOOPBACK = [ipaddress.IPv4Interface("127.0.0.1/8")]
CONTAINER = [*LOOPBACK, ipaddress.IPv4Interface("172.18.0.3/16")]


def test_defaults() -> None:
    settings = read_settings({})
    assert [(listener.port, listener.tls) for listener in (*settings.smtp, *settings.submission)] == [
        (25, False),
        (587, False),
        (465, True),
    ]
    assert settings.contained and settings.processes == 1 and settings.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROCESSES", "0"),
        ("PROCESSES", "many"),
        ("PROCESSES", "65"),
        ("ADDRESS", "mail.xeris.com"),
        ("SMTP_LISTEN", "25"),
        ("SUBMISSION_LISTEN", "0.0.0.0:587/ssl"),
    ],
)
def test_bad_environment_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({name: value})


@pytest.mark.parametrize(
    ("environ", "local"),
    [
        ({"ADDRESS": "127.0.0.1"}, True),
        ({"ADDRESS": "192.0.2.1"}, False),
        ({"QMAIL_DIR": "/q", "ADDRESS": "192.0.2.1", "SMTP_LISTEN": "127.0.0.1:25", "SUBMISSION_LISTEN": ""}, True),
        ({"QMAIL_DIR": "/q", "SMTP_LISTEN": "0.0.0.0:25", "SUBMISSION_LISTEN": "127.0.0.1:587"}, False),
    ],
    ids=["container on loopback", "container", "program on loopback", "program"],
)
def test_whether_other_hosts_can_connect(environ: dict[str, str], local: bool) -> None:
    assert read_settings(environ).local_only is local


def test_all_faults_of_the_control_files_are_told_at_once(directory: Path) -> None:
    (directory / "control" / "databytes").write_text("25 MB\n")
    (directory / "control" / "maxrecipients").write_text("x\n")
    (directory / "control" / "tcp.smtp").write_text("# rules\n127.0.0.1 allow\n")
    with pytest.raises(SettingsError) as caught:
        check(read_settings({"QMAIL_DIR": str(directory)}), LOOPBACK)
    lines = str(caught.value).split("\n")
    assert len(lines) == 3
    assert "databytes:1: expected a number of bytes, found '25 MB'" in lines[0]
    assert "maxrecipients:1: expected a number of recipients, found 'x'" in lines[1]
    assert "tcp.smtp:2: expected addresses:allow or addresses:deny, found no colon" in lines[2]


def test_missing_me_is_refused(directory: Path) -> None:
    (directory / "control" / "me").unlink()
    with pytest.raises(SettingsError, match="expected this host's name"):
        check(read_settings({"QMAIL_DIR": str(directory)}), LOOPBACK)


def test_relaying_for_the_containers_network_is_refused_only_in_a_container(directory: Path) -> None:
    (directory / "control" / "tcp.smtp").write_text('172.18.:allow,RELAYCLIENT=""\n')
    settings = read_settings({"QMAIL_DIR": str(directory)})
    check(settings, CONTAINER)
    from dataclasses import replace

    with pytest.raises(SettingsError, match=r"172\.18\.0\.0/16"):
        check(replace(settings, contained=True), CONTAINER)


def test_this_machine_has_a_loopback_interface() -> None:
    assert any(str(interface.ip) == "127.0.0.1" for interface in read_interfaces())
