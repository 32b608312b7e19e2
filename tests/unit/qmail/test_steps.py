"""Work in steps, done alone: every wish is granted, what fails is raised where it was wished for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qmail import steps
from qmail.maildir.writer import store_steps
from qmail.steps import Shared, Steps, SyncedNames, alone


def test_a_message_is_stored_alone(tmp_path: Path) -> None:
    for name in ("tmp", "new"):
        (tmp_path / name).mkdir()
    directory = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        assert alone(store_steps(directory, b"a", [b"x"], b"new/a"))
    finally:
        os.close(directory)
    assert (tmp_path / "new" / "a").read_bytes() == b"x"


def test_files_and_names_are_synced_in_the_order_of_the_wishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(steps.os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    with open(tmp_path / "a", "wb") as file:

        def work() -> Steps[None]:
            yield file.fileno()
            yield SyncedNames(-100, bytes(tmp_path), b"")

        alone(work())
    assert synced == [str(tmp_path / "a"), str(tmp_path)]


def test_what_fails_is_raised_at_its_wish_and_the_shared_is_ended() -> None:
    ended: list[str] = []

    def work() -> Steps[str]:
        yield Shared("key", lambda: "thing", ended.append)
        with pytest.raises(OSError):
            yield SyncedNames(-1, b"no such directory", b"")
        yield 1 << 20  # no such descriptor
        return "never"

    with pytest.raises(OSError):
        alone(work())
    assert ended == ["thing"]
