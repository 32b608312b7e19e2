"""A deployment belongs to the release that started on it last; an older one is refused before it writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.admin.install import Installer
from services.admin.setup.first_start import first_start
from services.admin.setup.generated_files import HEADER, MADE
from services.admin.setup.release import FIRST, MARK, RELEASE, check_release, mark_release, release_of

KEEPER = Installer(per_user=False)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def test_what_is_made_from_nothing_is_this_release_s(tmp_path: Path) -> None:
    assert release_of(tmp_path) is None
    assert mark_release(tmp_path, KEEPER) is None
    assert release_of(tmp_path) == RELEASE
    check_release(tmp_path)


def test_a_deployment_without_a_mark_is_the_first_release_s_and_its_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "me").write_text("mail.xeris.com\n")
    assert release_of(tmp_path) == FIRST
    word = mark_release(tmp_path, KEEPER)
    assert word is not None and word.startswith(f"this deployment was release 1's; it is release {RELEASE}'s")
    assert mark_release(tmp_path, KEEPER) is None


@pytest.mark.parametrize("text", ["", "release", "release 0\n", "release x\n", "2\n", f"release {RELEASE}\nmore\n"])
def test_a_bad_mark_is_told_and_not_believed(tmp_path: Path, text: str) -> None:
    (tmp_path / MARK).write_text(text)
    with pytest.raises(ValueError, match=r"\.release: .*; expected one line, as in release"):
        check_release(tmp_path)


def test_a_newer_release_s_deployment_is_not_touched(tmp_path: Path) -> None:
    identity = "per-user" if os.geteuid() == 0 else "single"
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / MARK).write_text(f"release {RELEASE + 1}\n")
    with pytest.raises(ValueError, match=f"belongs to release {RELEASE + 1}.*expected release {RELEASE + 1} or newer"):
        first_start({"QMAIL_DIR": str(tmp_path), "IDENTITY": identity})
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["control", f"control/{MARK}"]


def test_the_mark_is_there_before_anything_that_an_older_release_would_not_understand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = "per-user" if os.geteuid() == 0 else "single"
    written: list[str] = []
    rename = os.rename

    def note(source: Path, target: Path) -> None:
        written.append(target.name)
        rename(source, target)

    monkeypatch.setattr(os, "rename", note)
    first_start({"QMAIL_DIR": str(tmp_path), "IDENTITY": identity})
    assert written[0] == MARK


def test_the_first_release_s_reader_cannot_read_the_comment() -> None:
    # It expected four words, whatever they are.
    assert len(HEADER.split(" ")) != 4
    assert MADE == ".made"
