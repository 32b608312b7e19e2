"""Maildir names, writer and reader: a message is in `new` once and whole, whatever happens in between."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.maildir.names import MAX_BASE_BYTES, base_name, flagged_name, parse_flags, unique_name
from qmail.maildir.reader import clean_tmp, move_to_cur, scan
from services.delivery.local import maildir_writer as writer
from services.delivery.local import steps
from services.delivery.local.maildir_writer import (
    MaildirBusy,
    MaildirFull,
    MaildirIncomplete,
    MaildirMissing,
    deliver,
    store,
)

NAME = b"1054052944.1234567890000.mail"
PIECES = (b"Return-Path: <ari@xeris.com>\n", b"Subject: tes\n\n", b"Ngetes aaah ....\n" * 100)
WHOLE = b"".join(PIECES)


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for folder in ("tmp", "new", "cur"):
        (tmp_path / "Maildir" / folder).mkdir(parents=True, mode=0o700)
    return tmp_path / "Maildir"


def held(maildir: Path, folder: str) -> list[bytes]:
    return [path.read_bytes() for path in (maildir / folder).iterdir()]


# Names.


@given(st.integers(0, 2**42), st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.binary(max_size=300))
def test_a_name_is_short_and_harmless(time_ms: int, message_id: int, number: int, host: bytes) -> None:
    name = unique_name(time_ms, message_id, number, host)
    assert len(name) <= MAX_BASE_BYTES
    assert not set(b"/:\0") & set(name)
    assert name not in (b".", b"..") and not name.startswith(b".")


def test_a_name_says_when_which_and_where() -> None:
    assert unique_name(1054052944999, 42, 3, b"mail.xeris.com") == b"1054052944.420003.mail.xeris.com"
    assert unique_name(1000, 42, 3, b"a/b:c") == b"1.420003.a\\057b\\072c"
    assert unique_name(1000, 42, 3, b"m", copy=1) == b"1.420003_1.m"


@pytest.mark.parametrize(
    ("name", "flags"),
    [(b"a:2,SR", b"RS"), (b"a:2,", b""), (b"a", b""), (b"a:1,x", b""), (b"a:2,SS,extra", b"S")],
)
def test_flags_are_read_from_a_name(name: bytes, flags: bytes) -> None:
    assert parse_flags(name) == flags
    assert base_name(name) == b"a"
    assert parse_flags(flagged_name(b"a", flags)) == flags


# Writing.


def test_a_message_is_delivered_whole_and_private(maildir: Path) -> None:
    assert deliver(maildir, NAME, PIECES) is True
    path = maildir / "new" / os.fsdecode(NAME)
    assert path.read_bytes() == WHOLE
    assert path.stat().st_mode & 0o777 == 0o600
    assert held(maildir, "tmp") == []


def test_a_repeated_delivery_leaves_one_copy(maildir: Path) -> None:
    deliver(maildir, NAME, PIECES)
    assert deliver(maildir, NAME, [b"another text"]) is False
    assert held(maildir, "new") == [WHOLE]
    assert held(maildir, "tmp") == []


def test_a_stream_of_pieces_is_delivered(maildir: Path) -> None:
    assert deliver(maildir, NAME, iter(PIECES)) is True
    assert held(maildir, "new") == [WHOLE]


def test_a_message_can_be_filed_with_flags_and_time(maildir: Path) -> None:
    assert store(maildir, NAME, PIECES, b"cur/" + NAME + b":2,S", mtime_ns=10**18) is True
    (entry,) = scan(maildir)
    assert (entry.folder, entry.flags, entry.mtime_ns, entry.size) == ("cur", b"S", 10**18, len(WHOLE))


def test_a_maildir_that_is_a_symbolic_link_is_followed(maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(maildir)
    assert deliver(tmp_path / "link", NAME, PIECES) is True
    assert held(maildir, "new") == [WHOLE]


def test_what_is_missing_has_its_own_error(maildir: Path, tmp_path: Path) -> None:
    with pytest.raises(MaildirMissing):
        deliver(tmp_path / "none", NAME, PIECES)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MaildirMissing):
        deliver(tmp_path / "file", NAME, PIECES)
    (maildir / "cur").rmdir()
    (maildir / "new").rmdir()
    with pytest.raises(MaildirIncomplete):
        deliver(maildir, NAME, PIECES)
    (maildir / "tmp").rmdir()
    with pytest.raises(MaildirIncomplete):
        deliver(maildir, NAME, PIECES)
    assert list(maildir.iterdir()) == [], "what may be the place of a home that is away is not made a mailbox"


@pytest.mark.parametrize("missing", [["new"], ["tmp"], ["new", "tmp"]])
def test_an_empty_directory_that_a_restore_left_out_is_made_again(maildir: Path, missing: list[str]) -> None:
    for part in missing:
        (maildir / part).rmdir()
    assert deliver(maildir, NAME, PIECES)
    assert (maildir / "new" / os.fsdecode(NAME)).read_bytes() == b"".join(PIECES)
    assert {stat.S_IMODE((maildir / part).stat().st_mode) for part in missing} == {0o700}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_its_own_error_and_leaves_nothing(
    maildir: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(fd: int, pieces: object) -> int:
        raise OSError(number, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        with pytest.raises(MaildirFull) as caught:
            deliver(maildir, NAME, PIECES)
    assert caught.value.errno == number
    assert held(maildir, "tmp") == held(maildir, "new") == []
    assert deliver(maildir, NAME, PIECES) is True


def test_a_write_that_takes_a_part_is_continued(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, pieces: real(fd, [b"".join(pieces)[:7]]))
    deliver(maildir, NAME, PIECES)
    assert held(maildir, "new") == [WHOLE]


def test_a_leftover_of_a_dead_writer_is_replaced(maildir: Path) -> None:
    (maildir / "tmp" / os.fsdecode(NAME)).write_bytes(b"half a mess")
    assert deliver(maildir, NAME, PIECES) is True
    assert held(maildir, "new") == [WHOLE]
    assert held(maildir, "tmp") == []


def test_a_living_writer_of_the_same_message_is_left_alone(maildir: Path) -> None:
    tmp = maildir / "tmp" / os.fsdecode(NAME)
    tmp.write_bytes(b"half a mess")
    with tmp.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(MaildirBusy):
            deliver(maildir, NAME, PIECES)
    assert tmp.read_bytes() == b"half a mess"
    assert held(maildir, "new") == []


def test_no_copy_comes_after_the_first_was_moved_between_link_and_unlink(maildir: Path) -> None:
    deliver(maildir, NAME, PIECES)
    name = os.fsdecode(NAME)
    os.link(maildir / "new" / name, maildir / "tmp" / name)  # the writer died before its unlink
    assert move_to_cur(maildir, NAME, b"S") == NAME + b":2,S"
    assert deliver(maildir, NAME, PIECES) is False
    assert held(maildir, "new") == held(maildir, "tmp") == []
    assert held(maildir, "cur") == [WHOLE]


# Crashes: the process is killed, or a call fails, at each call to the system in turn.

STEPS = 12


class Faulty:
    """The os module, which does something else at the n-th call."""

    def __init__(self, at: int, fault: Any) -> None:
        self._left = at
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if not callable(real) or name in ("strerror", "fsencode") or isinstance(real, type):
            return real

        def call(*args: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self._fault()
            return real(*args, **named)

        return call


def killed_at(maildir: Path, at: int) -> bool:
    """Deliver in a child that dies before its n-th call; whether it came so far."""
    pid = os.fork()
    if pid == 0:
        faulty = Faulty(at, lambda: os._exit(9))
        vars(writer)["os"] = vars(steps)["os"] = faulty
        deliver(maildir, NAME, PIECES)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.parametrize("at", range(1, STEPS + 1))
@pytest.mark.parametrize("again", [None, 3, 6, 9])
def test_killed_at_any_step_there_is_one_whole_copy_in_the_end(maildir: Path, at: int, again: int | None) -> None:
    killed_at(maildir, at)
    assert held(maildir, "new") in ([], [WHOLE])
    if again is not None:
        killed_at(maildir, again)
        assert held(maildir, "new") in ([], [WHOLE])
    deliver(maildir, NAME, PIECES)
    assert held(maildir, "new") == [WHOLE]
    assert held(maildir, "tmp") == []


def test_every_step_was_killed(maildir: Path) -> None:
    assert killed_at(maildir, 9)
    for path in (*(maildir / "new").iterdir(), *(maildir / "tmp").iterdir()):
        path.unlink()
    assert not killed_at(maildir, STEPS + 3)


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_when_any_call_fails_nothing_is_half_delivered(maildir: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "failed")

    with monkeypatch.context() as patch:
        faulty = Faulty(at, fail)
        patch.setattr(writer, "os", faulty)
        patch.setattr(steps, "os", faulty)
        try:
            deliver(maildir, NAME, PIECES)
        except OSError:
            assert held(maildir, "new") in ([], [WHOLE])
    deliver(maildir, NAME, PIECES)
    assert held(maildir, "new") == [WHOLE]
    assert held(maildir, "tmp") == []


# Reading.


@pytest.fixture
def filled(maildir: Path) -> Path:
    (maildir / "new/a").write_bytes(b"12345")
    (maildir / "cur/b:2,RS").write_bytes(b"1")
    (maildir / "cur/.hidden").write_bytes(b"1")
    (maildir / "new/dir").mkdir()
    (maildir / "new/link").symlink_to(maildir / "new/a")
    return maildir


def test_a_message_that_is_renamed_while_it_is_looked_at_is_found(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (maildir / "cur" / "1.a:2,").write_bytes(b"x")
    scandir = os.scandir
    renamed: list[Path] = []

    class ReadBefore(list[os.DirEntry[bytes]]):
        def __init__(self, path: bytes) -> None:
            with scandir(path) as listing:
                super().__init__(listing)
            if self and not renamed:
                renamed.append((maildir / "cur" / "1.a:2,").rename(maildir / "cur" / "1.a:2,S"))

        def __enter__(self) -> ReadBefore:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

    monkeypatch.setattr(os, "scandir", ReadBefore)
    assert [entry.base for entry in scan(maildir)] == [b"1.a"] and renamed


def test_a_scan_finds_messages_and_nothing_else(filled: Path) -> None:
    found = {(e.name, e.base, e.flags, e.folder, e.size) for e in scan(filled)}
    assert found == {(b"a", b"a", b"", "new", 5), (b"b:2,RS", b"b", b"RS", "cur", 1)}


def test_a_missing_folder_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path)


def test_who_comes_second_to_move_a_message_is_told(filled: Path) -> None:
    assert move_to_cur(filled, b"a", b"SF") == b"a:2,FS"
    assert move_to_cur(filled, b"a") is None


def test_tmp_is_swept_of_what_nobody_has_touched_for_36_hours(maildir: Path) -> None:
    for name in ("left", ".dot"):
        (maildir / "tmp" / name).write_bytes(b"")
    touched = (maildir / "tmp" / "left").stat().st_ctime
    assert clean_tmp(maildir, touched + 36 * 3600 - 1) == 0
    assert clean_tmp(maildir, touched + 36 * 3600 + 1) == 1
    assert {p.name for p in (maildir / "tmp").iterdir()} == {".dot"}


def test_tmp_is_swept_as_qmail_does_where_that_is_wanted(maildir: Path) -> None:
    now = 1_700_000_000
    for name, age in (("old", 36 * 3600 + 1), ("young", 36 * 3600 - 1), (".dot", 99 * 3600)):
        (maildir / "tmp" / name).write_bytes(b"")
        os.utime(maildir / "tmp" / name, (now - age, now - age))
    assert clean_tmp(maildir, now, as_qmail=True) == 1
    assert {p.name for p in (maildir / "tmp").iterdir()} == {"young", ".dot"}


@pytest.mark.parametrize("as_qmail", [False, True])
def test_a_message_with_an_old_date_is_not_swept_on_its_way_through_tmp(maildir: Path, as_qmail: bool) -> None:
    """Whoever looks into the mailbox just then sweeps tmp, however old the message is by its own date."""
    years_ago = time.time_ns() - 10 * 365 * 86400 * 10**9
    seen = []

    def pieces() -> Iterator[bytes]:
        yield b"".join(PIECES)

    real = os.link

    def sweep_and_link(*args: object, **more: object) -> None:
        seen.append(clean_tmp(maildir, time.time(), as_qmail=as_qmail))
        real(*args, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", sweep_and_link)
        assert store(maildir, NAME, pieces(), b"cur/" + NAME + b":2,S", mtime_ns=years_ago)
    assert seen == [0]
    (placed,) = (maildir / "cur").iterdir()
    assert placed.stat().st_mtime_ns == years_ago
