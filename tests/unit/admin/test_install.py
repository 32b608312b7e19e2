"""A tree is given to its owner once, whole, and whatever a start has left of it the next one finishes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.admin.install import Installer

pytestmark = pytest.mark.root(reason="only root gives files away")
OWNER = 908


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """As an earlier release left it."""
    top = tmp_path / "log"
    (top / "qmail").mkdir(parents=True)
    (top / "qmail" / "current").write_text("@400000006b0463760146ec5f new msg 1\n")
    (top / "outside").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").touch()
    return top


def owners(top: Path) -> set[int]:
    return {path.lstat().st_uid for path in (top, *top.rglob("*"))}


def give(log: Path) -> None:
    Installer(per_user=True).tree(log, 0o755, OWNER, OWNER)


def test_all_of_it_changes_hands_and_nothing_that_a_link_names(log: Path, tmp_path: Path) -> None:
    give(log)
    assert owners(log) == {OWNER}
    assert (tmp_path / "precious").stat().st_uid == 0
    assert (log / "qmail" / "current").read_text().endswith("new msg 1\n")


@pytest.mark.parametrize("done", range(3))
def test_what_was_broken_off_is_finished(log: Path, monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    chown, left = os.chown, done

    def crash(*arguments: object, **options: object) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        chown(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "chown", crash)
        with pytest.raises(KeyboardInterrupt):
            give(log)
    assert 0 in owners(log) and log.stat().st_uid == 0
    give(log)
    assert owners(log) == {OWNER}


def test_what_its_owner_has_is_not_looked_at_again(log: Path) -> None:
    give(log)
    (log / "run").touch()
    give(log)
    assert (log / "run").stat().st_uid == 0
