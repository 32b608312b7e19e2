"""The maildrop on a real directory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.pop3.mailbox import MailboxError, Unusable, open_mailbox, open_message, update
from services.pop3.requests import Refusal


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for folder in ("tmp", "new", "cur"):
        (tmp_path / "Maildir" / folder).mkdir(parents=True)
    return tmp_path / "Maildir"


def put(maildir: Path, name: str, age_seconds: float, content: bytes = b"a: b\n") -> Path:
    path = maildir / name
    path.write_bytes(content)
    os.utime(path, (time.time() - age_seconds,) * 2)
    return path


def names(maildir: Path) -> set[str]:
    return {str(path.relative_to(maildir)) for path in maildir.rglob("*") if path.is_file()}


def test_messages_of_new_and_cur_are_numbered_by_age(maildir: Path) -> None:
    put(maildir, "new/2.b", 10)
    put(maildir, "cur/1.a:2,S", 20)
    put(maildir, "new/0.c", 5)
    messages = open_mailbox(maildir, os.geteuid(), classic=False)
    assert [(message.base, message.is_new) for message in messages] == [(b"1.a", False), (b"2.b", True), (b"0.c", True)]


def test_what_came_this_second_waits_in_classic_only(maildir: Path) -> None:
    put(maildir, "new/1.a", -1)
    assert open_mailbox(maildir, None, classic=True) == ()
    assert len(open_mailbox(maildir, None, classic=False)) == 1


def test_links_directories_and_hidden_files_are_no_messages(maildir: Path) -> None:
    put(maildir, "new/.hidden", 5)
    (maildir / "new/dir").mkdir()
    (maildir / "new/link").symlink_to("/etc/passwd")
    assert open_mailbox(maildir, None, classic=False) == ()


def test_a_mailbox_that_is_missing_a_file_or_somebody_elses_is_refused(tmp_path: Path, maildir: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, owner, refusal in (
        (tmp_path / "none", None, Refusal.NO_MAILDIR),
        (tmp_path / "file", None, Refusal.NO_MAILDIR),
        (tmp_path / "file" / "Maildir", None, Refusal.NO_MAILDIR),
        (maildir, os.geteuid() + 1, Refusal.FOREIGN_MAILDIR),
    ):
        with pytest.raises(MailboxError) as caught:
            open_mailbox(path, owner, classic=False)
        assert caught.value.refusal is refusal


def test_a_message_moved_or_flagged_meanwhile_is_still_read_and_deleted(maildir: Path) -> None:
    path = put(maildir, "new/1.a", 10, b"hello\n")
    (message,) = open_mailbox(maildir, None, classic=False)
    path.rename(maildir / "cur/1.a:2,RS")
    descriptor, piece = open_message(maildir, message)
    os.close(descriptor)
    assert piece == b"hello\n"
    assert update(maildir, [message], []) == ()
    assert names(maildir) == set()


def test_however_many_were_renamed_or_removed_the_directories_are_looked_at_once(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        put(maildir, f"new/{number}.a", 10)
    messages = open_mailbox(maildir, None, classic=False)
    for number in range(30):
        (maildir / f"new/{number}.a").rename(maildir / f"cur/{number}.a:2,S")
    for number in range(30, 40):
        (maildir / f"new/{number}.a").unlink()
    looks: list[object] = []

    def noted(real: Callable[[Any], Any], path: Any) -> Any:
        looks.append(path)
        return real(path)

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, partial(noted, getattr(os, name)))
    assert update(maildir, messages, []) == ()
    assert len(looks) <= 4, "new and cur, each twice"
    assert names(maildir) == set()


def test_a_message_renamed_again_after_that_look_is_found_by_another(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("new/1.a", "new/2.b"):
        put(maildir, name, 10)
    messages = open_mailbox(maildir, None, classic=False)
    for name in ("1.a", "2.b"):
        (maildir / "new" / name).rename(maildir / "cur" / f"{name}:2,")
    unlink = os.unlink

    def unlink_and_flag(path: bytes) -> None:
        unlink(path)
        if path.endswith(b"1.a:2,"):
            (maildir / "cur/2.b:2,").rename(maildir / "cur/2.b:2,F")

    monkeypatch.setattr(os, "unlink", unlink_and_flag)
    assert update(maildir, messages, []) == ()
    assert names(maildir) == set()


def test_a_message_deleted_meanwhile_cannot_be_opened_and_is_no_failure_at_quit(maildir: Path) -> None:
    put(maildir, "new/1.a", 10)
    (message,) = open_mailbox(maildir, None, classic=False)
    (maildir / "new/1.a").unlink()
    with pytest.raises(FileNotFoundError):
        open_message(maildir, message)
    assert update(maildir, [message], []) == ()
    assert update(maildir, [], [message]) == ()


def test_a_fifo_put_in_the_place_of_a_message_holds_no_thread(maildir: Path) -> None:
    path = put(maildir, "new/1.a", 10)
    (message,) = open_mailbox(maildir, None, classic=False)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Unusable, match="not a file"):
        open_message(maildir, message)


def test_update_removes_the_deleted_and_moves_the_new(maildir: Path) -> None:
    for name in ("new/1.a", "new/2.b", "cur/3.c:2,S"):
        put(maildir, name, 10)
    messages = {message.base: message for message in open_mailbox(maildir, None, classic=False)}
    assert update(maildir, [messages[b"1.a"]], [messages[b"2.b"]]) == ()
    assert names(maildir) == {"cur/2.b:2,", "cur/3.c:2,S"}


def test_what_cannot_be_removed_is_told_and_the_rest_is_done(maildir: Path) -> None:
    put(maildir, "new/1.a", 10)
    put(maildir, "new/2.b", 5)
    first, second = open_mailbox(maildir, None, classic=False)
    (maildir / "new/1.a").unlink()
    (maildir / "new/1.a").mkdir()
    (stayed,) = update(maildir, [first, second], [])
    assert stayed.path == str(maildir / "new/1.a")
    assert names(maildir) == set()


def test_old_files_in_tmp_are_swept_at_login(maildir: Path) -> None:
    put(maildir, "tmp/old", 37 * 3600)
    put(maildir, "tmp/young", 35 * 3600)
    open_mailbox(maildir, None, classic=True)
    assert names(maildir) == {"tmp/young"}


def test_a_message_on_its_way_into_tmp_is_not_swept_for_the_date_that_it_has(maildir: Path) -> None:
    put(maildir, "tmp/on-its-way", 37 * 3600)
    open_mailbox(maildir, None, classic=False)
    assert names(maildir) == {"tmp/on-its-way"}


@pytest.mark.parametrize("part", ["new", "tmp"])
def test_an_empty_directory_that_a_restore_left_out_is_made_again(maildir: Path, part: str) -> None:
    put(maildir, "cur/1.a:2,S", 10)
    (maildir / part).rmdir()
    assert len(open_mailbox(maildir, None, classic=False)) == 1
    assert (maildir / part).is_dir()


def test_a_maildir_without_cur_is_not_taken_for_an_empty_one(maildir: Path) -> None:
    (maildir / "cur").rmdir()
    with pytest.raises(MailboxError) as caught:
        open_mailbox(maildir, None, classic=False)
    assert caught.value.refusal is Refusal.NO_SCAN
    assert not (maildir / "cur").exists()


@pytest.mark.parametrize("part", ["new", "cur"])
def test_qmails_manner_says_that_a_maildir_cannot_be_scanned(maildir: Path, part: str) -> None:
    (maildir / part).rmdir()
    with pytest.raises(MailboxError) as caught:
        open_mailbox(maildir, None, classic=True)
    assert caught.value.refusal is Refusal.NO_SCAN
    assert not (maildir / part).exists()


def test_a_line_feed_in_a_file_name_is_no_message(maildir: Path) -> None:
    put(maildir, "cur/1.a\n2.b:2,S", 10)
    assert open_mailbox(maildir, None, classic=False) == ()


def test_a_message_that_was_delivered_twice_is_listed_once_and_stays_deleted(maildir: Path) -> None:
    put(maildir, "cur/1.a:2,S", 20)
    put(maildir, "new/1.a", 10)
    messages = open_mailbox(maildir, None, classic=False)
    assert [message.base for message in messages] == [b"1.a"]
    assert names(maildir) == {"cur/1.a:2,S"}
    put(maildir, "new/1.a", 5)
    assert update(maildir, messages, []) == ()
    assert names(maildir) == set()


def test_another_message_of_the_same_name_is_kept(maildir: Path) -> None:
    put(maildir, "cur/1.a:2,S", 20)
    put(maildir, "new/1.a", 10, b"something else\n")
    open_mailbox(maildir, None, classic=False)
    messages = open_mailbox(maildir, None, classic=False)
    assert sorted(message.size_bytes for message in messages) == [5, 15]
    assert update(maildir, [message for message in messages if message.base == b"1.a"], []) == ()
    (left,) = names(maildir)
    assert (maildir / left).read_bytes() == b"something else\n"
