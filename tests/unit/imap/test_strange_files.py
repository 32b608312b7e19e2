"""What an account may do to the files of its own Maildir must harm nobody else, and cost it no more than that file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from services.imap.answer import Answer
from services.imap.grammar import commands as c
from services.imap.grammar.parse import parse_command
from services.imap.operations import copy as copying
from services.imap.store import files, uidstore
from services.imap.store.errors import MessageGone
from services.imap.store.mailbox import Mailbox
from services.imap.work import Work

LISTS = (
    "courierimapsubscribed",
    "courierimapuiddb",
    "imapuids/5",
    "courierimapkeywords/:list",
    "courierimapkeywords/1.a",
)


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("cur", "new", "tmp", "imapuids", "courierimapkeywords"):
        (tmp_path / part).mkdir()
    (tmp_path / "cur" / "1.a:2,").write_bytes(b"Subject: satu\n\n1\n")
    return tmp_path


def perform(work: Work, line: bytes) -> Answer:
    """A command's answer, in a thread that may hang."""
    parsed = parse_command((line,))
    assert isinstance(parsed, tuple), parsed
    tag, command = parsed
    found: list[Answer] = []

    def do() -> None:
        if isinstance(command, c.Fetch):
            data, answer = work.fetch(command, first=True)
            while answer is None:
                more, answer = work.fetch(command, first=False)
                data += more
            found.append(Answer(answer.kind, answer.text, (data,), answer.code))
        else:
            found.append(work.perform(tag, command))

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "a thread of the pool is lost"
    return found[0]


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("/proc/self/environ")


def absurd(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)


STRANGE = (fifo, link, Path.mkdir, absurd)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("make", STRANGE)
def test_what_is_no_list_counts_as_none(maildir: Path, name: str, make: Callable[[Path], None]) -> None:
    make(maildir / name)
    work = Work(maildir, None)
    assert perform(work, b'a LSUB "" *') == Answer(b"OK", b"LSUB completed.")
    selected = perform(work, b"a SELECT INBOX")
    assert selected.kind == b"OK" and b"* 1 EXISTS\r\n" in selected.lines
    work.close()


def test_instead_of_a_uid_list_that_is_none_stands_a_new_one_above_it(maildir: Path) -> None:
    work = Work(maildir, None)
    perform(work, b"a SELECT INBOX")
    old = work.selected and work.selected.mailbox.validity
    os.mkfifo(maildir / "imapuids" / "9")
    for _ in range(2):
        again = Work(maildir, None)
        perform(again, b"a SELECT INBOX")
        assert again.selected is not None and again.selected.mailbox.validity > (old or 0)
        new = uidstore.read_list(again.selected.mailbox.fd)
        assert (new.number, new.validity) == (10, again.selected.mailbox.validity)
        again.close()
    work.close()


def test_no_more_of_a_list_is_read_than_its_kind_may_be_large(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, taken = os.pread, []

    def pread(fd: int, length: int, offset: int) -> bytes:
        taken.append(length)
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    absurd(maildir / "imapuids" / "1")
    fd = os.open(maildir, os.O_RDONLY)
    with pytest.raises(FileNotFoundError):
        files.read_all(fd, b"imapuids/1")
    assert taken == []
    (maildir / "imapuids" / "2").write_bytes(b"isi")
    assert files.read_all(fd, b"imapuids/2") == b"isi"
    assert taken == [3]
    os.close(fd)


@pytest.mark.parametrize("make", [fifo, link, Path.mkdir])
def test_only_a_file_is_copied_where_no_link_is_possible(maildir: Path, make: Callable[[Path], None]) -> None:
    make(maildir / "cur" / "2.a:2,")
    source = Mailbox(os.open(maildir, os.O_RDONLY), b"", read_only=True)
    source.refresh()
    message = next(message for message in source.messages.values() if message.base == b"2.a")
    done: list[BaseException] = []

    def do() -> None:
        try:
            copying._copy_octets(source, message, source, b"cur/3.a:2,")
        except (OSError, MessageGone) as error:
            done.append(error)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(20)
    assert len(done) == 1 and not (maildir / "cur" / "3.a:2,").exists()
    assert list((maildir / "tmp").iterdir()) == []


def test_a_copied_message_is_the_same(maildir: Path) -> None:
    content = b"Subject: x\n\n" + b"0123456789\n" * 100_000
    (maildir / "cur" / "2.a:2,").write_bytes(content)
    source = Mailbox(os.open(maildir, os.O_RDONLY), b"", read_only=True)
    source.refresh()
    message = next(message for message in source.messages.values() if message.base == b"2.a")
    copying._copy_octets(source, message, source, b"cur/3.a:2,")
    assert (maildir / "cur" / "3.a:2,").read_bytes() == content
