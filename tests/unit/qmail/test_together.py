"""Several deliveries to one Maildir side by side: each whole, each durable, and one fsync of the directory for all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qmail.maildir.writer import MaildirError, store_steps
from qmail.together import alone, side_by_side


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / name).mkdir()
    return tmp_path


def run(maildir: Path, names: list[bytes], known_as: bytes) -> tuple[dict[int, object], dict[int, BaseException]]:
    results: dict[int, object] = {}
    errors: dict[int, BaseException] = {}

    def ended(place: int, result: object, error: BaseException | None) -> None:
        if error is None:
            results[place] = result
        else:
            errors[place] = error

    directory = os.open(maildir, os.O_PATH | os.O_DIRECTORY)
    try:
        works = [
            store_steps(directory, name, [b"body of " + name], b"new/" + name, None, b"", known_as) for name in names
        ]
        side_by_side(works, ended)
    finally:
        os.close(directory)
    return results, errors


def watch_fsync(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return synced


def test_a_group_syncs_every_file_and_the_directory_once_after_the_last_link(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = watch_fsync(monkeypatch)
    results, errors = run(maildir, [b"a", b"b", b"c"], bytes(maildir))
    assert results == {0: True, 1: True, 2: True} and not errors
    assert sorted(os.listdir(maildir / "new")) == ["a", "b", "c"] and not os.listdir(maildir / "tmp")
    assert (maildir / "new" / "b").read_bytes() == b"body of b"
    assert len(synced) == 4 and synced[-1] == str(maildir / "new")


def test_without_a_name_for_the_directory_each_syncs_it_itself(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = watch_fsync(monkeypatch)
    run(maildir, [b"a", b"b"], b"")
    assert synced.count(str(maildir / "new")) == 2


def test_one_that_fails_does_not_keep_the_others_from_arriving(maildir: Path) -> None:
    (maildir / "new" / "b").write_bytes(b"delivered before")
    results, errors = run(maildir, [b"a", b"b", b"no/such", b"c"], bytes(maildir))
    assert results == {0: True, 1: False, 3: True}
    assert isinstance(errors[2], MaildirError)
    assert (maildir / "new" / "b").read_bytes() == b"delivered before"
    assert sorted(os.listdir(maildir / "new")) == ["a", "b", "c"]


def test_work_in_steps_can_be_done_alone(maildir: Path) -> None:
    directory = os.open(maildir, os.O_PATH | os.O_DIRECTORY)
    try:
        assert alone(store_steps(directory, b"a", [b"x"], b"new/a"))
    finally:
        os.close(directory)
    assert (maildir / "new" / "a").read_bytes() == b"x"
