"""Work in steps, done alone: every wish is granted, what fails is raised where it was wished for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.delivery.local.maildir_writer import store_steps
from services.delivery.local.steps import Shared, Steps, alone


def test_a_message_is_stored_alone(tmp_path: Path) -> None:
    for name in ("tmp", "new"):
        (tmp_path / name).mkdir()
    directory = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        assert alone(store_steps(directory, b"a", [b"x"], b"new/a"))
    finally:
        os.close(directory)
    assert (tmp_path / "new" / "a").read_bytes() == b"x"


def test_files_are_synced_in_the_order_of_the_wishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)

    def work() -> Steps[str]:
        yield 7
        yield 8
        return "done"

    assert alone(work()) == "done"
    assert synced == [7, 8]


def test_what_fails_is_raised_at_its_wish_and_the_shared_is_ended() -> None:
    ended: list[str] = []

    def refuse() -> None:
        raise FileNotFoundError

    def work() -> Steps[str]:
        thing = yield Shared("key", lambda: "thing", ended.append)
        assert thing == "thing"
        with pytest.raises(FileNotFoundError):
            yield Shared("another key", refuse, ended.append)
        yield 1 << 20  # no such descriptor
        return "never"

    with pytest.raises(OSError):
        alone(work())
    assert ended == ["thing"]
