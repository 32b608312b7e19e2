"""maildirsize: what counts, when it is counted anew, and that nothing in it is in the way of mail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qmail.maildir.quota import (
    LIFETIME_SECONDS,
    MAX_BYTES,
    Limits,
    Quota,
    add,
    has_room,
    parse_limits,
    parse_quota,
    read_quota,
    render_limits,
    set_limits,
)  # fmt: skip


@pytest.fixture
def maildir(tmp_path: Path) -> Iterator[int]:
    for folder in ("", ".Sent", ".Trash"):
        for part in ("cur", "new", "tmp"):
            (tmp_path / folder / part).mkdir(parents=True)
    (tmp_path / "new/1.a.x").write_bytes(b"x" * 100)
    (tmp_path / ".Sent/cur/2.a.x,S=50:2,S").write_bytes(b"x" * 50)
    (tmp_path / ".Sent/cur/3.a.x:2,ST").write_bytes(b"deleted")
    (tmp_path / ".Trash/cur/4.a.x:2,").write_bytes(b"thrown away")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        (b"100000S,50C", Limits(100000, 50)),
        (b"100000S", Limits(100000, None)),
        (b"50C", Limits(None, 50)),
        (b"0S,7C", Limits(None, 7)),
        *((bad, None) for bad in (b"", b"none", b"0S", b"10", b"-5S", b"5C,5S", b"1S,1S", b"9" * 19 + b"S")),
    ],
)
def test_limits(text: bytes, limits: Limits | None) -> None:
    assert parse_limits(text) == limits
    assert limits is None or parse_limits(render_limits(limits)) == limits


def test_the_file_is_couriers(maildir: int, tmp_path: Path) -> None:
    set_limits(maildir, Limits(1000, 50))
    add(maildir, 66, 1)
    add(maildir, -66, -1)
    content = b"1000S,50C\n         150            2\n          66            1\n         -66           -1\n"
    assert (tmp_path / "maildirsize").read_bytes() == content
    assert parse_quota(content, 0.0) == Quota(Limits(1000, 50), 150, 2, 3)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_message_has_room_or_not(maildir: int, tmp_path: Path) -> None:
    assert has_room(maildir, 10**9), "without a quota there is room"
    set_limits(maildir, Limits(200, 3))
    assert has_room(maildir, 50) and not has_room(maildir, 51) and not has_room(maildir, 1, 2)
    set_limits(maildir, None)
    assert has_room(maildir, 10**9) and not (tmp_path / "maildirsize").exists()
    set_limits(maildir, None)


def test_nothing_is_refused_by_an_old_sum(maildir: int, tmp_path: Path) -> None:
    set_limits(maildir, Limits(200))
    add(maildir, 10**6, 1)
    assert has_room(maildir, 50), "more than one sum: counted anew"
    (tmp_path / "maildirsize").write_bytes(b"200S\n        9999            1\n")
    assert not has_room(maildir, 1)
    past = os.stat(tmp_path / "maildirsize").st_mtime - LIFETIME_SECONDS
    os.utime(tmp_path / "maildirsize", (past, past))
    assert has_room(maildir, 50)


def test_a_long_file_and_one_without_a_sum_are_counted_anew(maildir: int, tmp_path: Path) -> None:
    for content in (b"200S\n" + b"           1            1\n" * (MAX_BYTES // 26 + 1), b"200S\n", b"200S"):
        (tmp_path / "maildirsize").write_bytes(content)
        quota = read_quota(maildir)
        assert quota is not None and (quota.bytes, quota.messages) == (150, 2)
    assert len((tmp_path / "maildirsize").read_bytes()) < 100


@pytest.mark.parametrize("content", [b"", b"\n\n", b"nonsense\n1 2\n", b"\xff\x00" * 3000])
def test_what_is_no_quota_limits_nothing(maildir: int, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "maildirsize").write_bytes(content)
    assert read_quota(maildir) is None and has_room(maildir, 10**9)
    assert parse_quota(b"5S\nx y\n1\n 2 3\n-9 -9 -9\n", 0.0) == Quota(Limits(5), 2, 3, 1)


def test_a_link_or_a_fifo_is_no_quota(maildir: int, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"1S\n   9   9\n")
    (tmp_path / "maildirsize").symlink_to("elsewhere")
    assert read_quota(maildir) is None
    (tmp_path / "maildirsize").unlink()
    os.mkfifo(tmp_path / "maildirsize")
    assert read_quota(maildir) is None
    add(maildir, 1, 1)
    assert (tmp_path / "elsewhere").read_bytes() == b"1S\n   9   9\n"
