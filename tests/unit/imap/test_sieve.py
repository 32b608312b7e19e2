"""Many messages searched at once give what each by itself gives, whatever the cache knows by then."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.operations import sieve
from services.imap.operations.search import search
from services.imap.search.program import Key
from services.imap.store import files, keywords
from services.imap.store.folders import Folders
from services.imap.store.opened import OpenMessage
from tests.support.imap_commands import perform

SEARCHES = (
    b"ALL",
    b"SUBJECT rapat",
    b"SUBJECT RAPAT",
    b'SUBJECT ""',
    b"NOT SUBJECT rapat",
    b"FROM dewi UNSEEN",
    b"OR FROM dewi SUBJECT anggaran",
    b"HEADER X-Loop x",
    b'NOT HEADER X-Loop ""',
    b'SUBJECT "rapat lagi"',
    b"SEEN KEYWORD kerja",
    b"2:4 NOT FLAGGED",
    b"UID 3:* SMALLER 70",
    b"LARGER 70",
    b"NOT TEXT isi SUBJECT rapat",
    b"OR TEXT khusus FLAGGED",
    b"NEW",
    b"NOT (OR SEEN FLAGGED)",
)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[MailboxSession]:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    subjects = ("Rapat", "=?utf-8?q?ra=C3=A9pat?=", "anggaran", "rapat anggaran", "lain", "Rapat\n lagi")
    for number, subject in enumerate(subjects, 1):
        flags = ("", "S", "F", "FS", "S", "")[number - 1]
        people = "Dewi <d@example.net>" if number % 2 else "ari@xeris.com"
        loop = "X-Loop: x\n" if number == 2 else ""
        text = f"From: {people}\nSubject: {subject}\n{loop}\nisi {'khusus' if number == 5 else ''}\n"
        (tmp_path / "Maildir" / "cur" / f"{number}.a.h:2,{flags}").write_text(text)
    folders = Folders(tmp_path / "cache")
    work = MailboxSession(tmp_path / "Maildir", None, folders)
    perform(work, b"a SELECT INBOX")
    perform(work, b"a STORE 2,5 +FLAGS (Kerja)")
    yield work
    work.close()
    folders.close()


@pytest.mark.parametrize("text", SEARCHES)
@pytest.mark.parametrize("seconds", [0.2, -1.0], ids=["in time", "out of time"])
def test_what_many_give_is_what_each_gives(
    work: MailboxSession, monkeypatch: pytest.MonkeyPatch, text: bytes, seconds: float
) -> None:
    monkeypatch.setattr(sieve, "LOOK_SECONDS", seconds)
    cold = perform(work, b"a SEARCH " + text).lines
    warm = perform(work, b"a SEARCH " + text).lines

    def each(selected: object, key: Key) -> Generator[bytes, None, tuple[list[int], Key]]:
        yield b""
        return list(work.current.view.uids), key

    monkeypatch.setattr(f"{search.__module__}.narrowed", each)
    assert cold == warm == perform(work, b"a SEARCH " + text).lines


def test_a_field_that_was_searched_for_is_not_read_again(work: MailboxSession, monkeypatch: pytest.MonkeyPatch) -> None:
    found = perform(work, b"a SEARCH FROM dewi").lines
    perform(work, b"a NOOP")

    def opened(*_: object) -> OpenMessage:
        raise AssertionError("no file is opened")

    monkeypatch.setattr(sieve, "OpenMessage", opened)
    assert perform(work, b"a SEARCH FROM dewi").lines == found == (b"* SEARCH 1 3 5\r\n",)


def test_an_unreadable_message_is_told_whatever_is_asked(work: MailboxSession, tmp_path: Path) -> None:
    path = tmp_path / "Maildir" / "cur" / "3.a.h:2,F"
    path.unlink()
    os.mkfifo(path)
    lines = perform(work, b"a SEARCH NOT SUBJECT rapat").lines
    assert any(b"cannot be read" in line for line in lines)


def test_keywords_of_many_messages_wait_for_the_disk_once(
    work: MailboxSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keywords, "_GROUP", 3)
    waits: list[str] = []
    sync_all = files.sync_all

    def counted(fd: int) -> None:
        waits.append("all")
        sync_all(fd)

    monkeypatch.setattr(files, "sync_all", counted)
    monkeypatch.setattr(os, "fsync", lambda fd: waits.append("one"))
    assert perform(work, b"a STORE 1:6 +FLAGS (Penting)").kind == b"OK"
    assert waits == ["all"]
    again = MailboxSession(tmp_path / "Maildir", None)
    perform(again, b"a SELECT INBOX")
    assert perform(again, b"a SEARCH KEYWORD penting").lines == (b"* SEARCH 1 2 3 4 5 6\r\n",)
    again.close()
    assert os.listdir(tmp_path / "Maildir" / "tmp") == []
