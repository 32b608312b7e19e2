"""Appending to an mbox: quoting, the lock, and what a full disk leaves."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.delivery.local.mbox import MailboxLocked, append, quoted
from services.delivery.local.refusal import Refusal

HEAD = b"From ari@xeris.com Tue May 27 16:15:16 2003\n"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


def expected(message: bytes) -> bytes:
    """By lines, as qmail-local does it."""
    lines = message.split(b"\n")
    rest = lines.pop()
    lines += [rest] if rest else []
    return b"".join((b">" if line.lstrip(b">").startswith(b"From ") else b"") + line + b"\n" for line in lines) + b"\n"


@given(st.lists(st.sampled_from([b"From ", b">", b"\n", b"x", b"F", b"rom ", b">From a\n", b"\n\n"]), max_size=30))
def test_however_a_message_is_cut_it_is_quoted_by_lines(pieces: list[bytes]) -> None:
    assert b"".join(quoted(pieces)) == expected(b"".join(pieces))


def test_a_very_long_line_passes_in_bounded_parts() -> None:
    pieces = [b"x" * 50_000] * 10 + [b"From y\nFrom z\n"]
    parts = list(quoted(pieces))
    assert b"".join(parts) == expected(b"".join(pieces))
    assert max(map(len, parts)) < 150_000


def test_a_locked_mbox_is_left_for_later(home: int, tmp_path: Path) -> None:
    with (tmp_path / "Mailbox").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(MailboxLocked):
            append(home, b"./Mailbox", HEAD, [b"x\n"])
    assert (tmp_path / "Mailbox").read_bytes() == b""
    append(home, b"./Mailbox", HEAD, [b"x\n"])
    assert (tmp_path / "Mailbox").read_bytes() == HEAD + b"x\n\n"


def test_a_full_disk_leaves_the_mbox_as_it_was(home: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Mailbox").write_bytes(b"old mail\n\n")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Refusal) as caught:
        append(home, b"./Mailbox", HEAD, [b"x\n"])
    assert caught.value.text == b"Unable to write ./Mailbox: out of disk space. (#4.3.0)\n"
    assert (tmp_path / "Mailbox").read_bytes() == b"old mail\n\n"


def test_a_fifo_in_place_of_the_mbox_does_not_stop_delivery(home: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "Mailbox")
    with pytest.raises(Refusal) as caught:
        append(home, b"./Mailbox", HEAD, [b"x\n"])
    assert caught.value.text.startswith(b"Unable to open ./Mailbox")
