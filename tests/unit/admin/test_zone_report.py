"""`qmailctl dns`: the zones as records, a fault with its file and line, and what the public DNS must say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from services.admin.commands.qmailctl import main
from services.admin.install import Installer
from services.admin.setup.first_start import first_start
from services.admin.setup.release import RELEASE, VERSION
from services.admin.setup.zones import make_zones
from tests.support.source import ROOT


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment of mail.xeris.com, with the zones that a container's has."""
    monkeypatch.setenv("QMAIL_DIR", str(tmp_path))
    monkeypatch.setenv("ADDRESS", "203.0.114.9")
    first_start({"QMAIL_DIR": str(tmp_path), "ME": "mail.xeris.com"})
    make_zones("mail.xeris.com", "203.0.114.9", tmp_path / "named", Installer(per_user=False))
    return tmp_path


def test_zones_and_public_records(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "control" / "rcpthosts").write_text("mail.xeris.com\nxeris.com\n.toko.example\n")
    assert main(["dns"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert f"; {directory}/named/xeris.db" in said
    assert "xeris.com. 86400 IN MX 50 mail.xeris.com." in said
    assert "9.114.0.203.in-addr.arpa. 86400 IN PTR mail.xeris.com." in said
    assert said[said.index("; the public DNS must say") + 1 :] == [
        "mail.xeris.com. IN A 203.0.114.9",
        "*.toko.example. IN MX 50 mail.xeris.com.",
        "xeris.com. IN MX 50 mail.xeris.com.",
        "9.114.0.203.in-addr.arpa. IN PTR mail.xeris.com. ; by whoever gave you the address",
    ]


def test_a_zone_with_a_fault_is_named_and_the_others_are_shown(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zone = directory / "named" / "xeris.db"
    zone.write_text(zone.read_text() + "ftp 1D IN A 192.168.1\n")
    assert main(["dns"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"qmailctl: {zone}: ")
    assert "9.114.0.203.in-addr.arpa. 86400 IN PTR mail.xeris.com." in said.out


def test_without_a_name_server_the_domains_are_those_of_locals(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "named" / "named.conf").unlink()
    (directory / "control" / "rcpthosts").unlink()
    (directory / "control" / "virtualdomains").write_text("surat.example:joni\njoni@lain.example:joni\n:ari\n")
    monkeypatch.delenv("ADDRESS")
    assert main(["dns"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "; the public DNS must say",
        "; (ADDRESS is 127.0.0.1, which the Internet does not reach)",
        "mail.xeris.com. IN A <your public address>",
        "surat.example. IN MX 50 mail.xeris.com.",
        "xeris.com. IN MX 50 mail.xeris.com.",
        "<its reverse name> IN PTR mail.xeris.com. ; by whoever gave you the address",
    ]


def test_the_version_is_that_of_the_package(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"qmail-containers {VERSION}, release {RELEASE}\n"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize("command", ["dns", "version"])
def test_no_arguments(directory: Path, command: str) -> None:
    assert main([command, "more"]) == 1
