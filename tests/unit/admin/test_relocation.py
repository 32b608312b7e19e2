"""A directory in another place than users/assign says is not the old one's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from services.admin.accounts import passwords
from services.admin.accounts.relocation import find_relocation
from services.admin.accounts.users import Users
from services.admin.directories import read_directories
from services.admin.install import Installer
from services.admin.setup.first_start import first_start

BY_HAND = "=info:joni:2002:2002:/srv/elsewhere:::"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def environ(directory: Path) -> dict[str, str]:
    return {"QMAIL_DIR": str(directory), "IDENTITY": "per-user" if os.geteuid() == 0 else "single"}


def users(directory: Path) -> Users:
    return Users(read_directories(environ(directory)), Installer(per_user=os.geteuid() == 0), 900)


@pytest.fixture
def copied(tmp_path: Path) -> tuple[Path, Path]:
    """A deployment and its copy, which nobody has started."""
    old, new = tmp_path / "old", tmp_path / "new"
    first_start(environ(old))
    assign = old / "users" / "assign"
    assign.write_text(f"{BY_HAND}\n{assign.read_text()}")
    shutil.copytree(old, new, symlinks=True)
    return old, new


def test_the_next_start_writes_the_new_homes_and_says_so(
    copied: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = copied
    first_start(environ(new))
    assign = (new / "users" / "assign").read_text()
    assert str(old) not in assign + (new / "users" / "passwd").read_text()
    assert f"=ari:ari:2001:2001:{new}/home/ari:::" in assign and f":{new}/alias:" in assign
    assert BY_HAND in assign
    said = capsys.readouterr().err
    assert f"had the accounts' homes in {old}/home, and has them in {new}/home from now on" in said
    first_start(environ(new))
    assert (new / "users" / "assign").read_text() == assign
    assert "homes" not in capsys.readouterr().err


def test_a_command_before_that_does_not_touch_the_old_one(copied: tuple[Path, Path]) -> None:
    old, new = copied
    assert users(new).named("ari").home == new / "home" / "ari"
    users(new).remove("ari", remove_home=True)
    assert (old / "home" / "ari" / "Maildir").is_dir()
    assert not (new / "home" / "ari").exists()


def test_containers_volumes_fit_a_directory_and_the_other_way_round() -> None:
    lines = ["=ari:ari:2001:2001:/home/ari:::", "+:alias:900:900:/var/qmail/alias:-::"]
    relocation = find_relocation(lines, Path("/srv/mail/alias"), Path("/srv/mail/home"))
    assert relocation is not None
    there = [relocation.line(line) for line in lines]
    assert there == ["=ari:ari:2001:2001:/srv/mail/home/ari:::", "+:alias:900:900:/srv/mail/alias:-::"]
    back = find_relocation(there, Path("/var/qmail/alias"), Path("/home"))
    assert back is not None and [back.line(line) for line in there] == lines


def test_an_alias_elsewhere_is_somebody_s_own_choice() -> None:
    lines = ["=ari:ari:2001:2001:/srv/mail/home/ari:::", "+:alias:900:900:/srv/aliases:-::"]
    assert find_relocation(lines, Path("/srv/mail/alias"), Path("/srv/mail/home")) is None
