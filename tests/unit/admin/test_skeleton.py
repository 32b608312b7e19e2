"""/etc/skel of the container: made once, then the administrator's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from services.admin.directories import read_directories
from services.admin.install import Installer
from services.admin.setup.skeleton import make_skeleton


def test_the_skeleton_is_the_image_s_at_first_and_kept_as_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "original").mkdir()
    (tmp_path / "original/.profile").write_text("umask 077\n")
    (tmp_path / "skel").symlink_to(tmp_path / "volume/skel")
    (tmp_path / "volume").mkdir()
    directories = replace(read_directories({}), skeleton=tmp_path / "skel")
    installer = Installer(per_user=False)
    make_skeleton(directories, installer, tmp_path / "original")
    assert (tmp_path / "skel/.profile").read_text() == "umask 077\n"
    (tmp_path / "skel/.profile").unlink()
    make_skeleton(directories, installer, tmp_path / "original")
    assert list((tmp_path / "volume").iterdir()) == [tmp_path / "volume/skel"]
    assert not list((tmp_path / "skel").iterdir())


def test_without_containers_it_is_left_to_the_administrator(tmp_path: Path) -> None:
    make_skeleton(read_directories({"QMAIL_DIR": str(tmp_path)}), Installer(per_user=False))
    assert list(tmp_path.iterdir()) == []
