"""What an account may do to the files of its own Maildir must harm nobody else, and cost it no more than that file."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmail.accounts.assign import Account
from qmail.door.session import Ask, Close, Peer
from services.imap import message as mail
from services.imap.commands import COMMANDS
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.operations import copy as copying
from services.imap.session.dialogue import Terms
from services.imap.session.results import Answer, CutShort, LoggedIn
from services.imap.session.session import ImapSession
from services.imap.store import content, files, uidstore
from services.imap.store.content import FileContent
from services.imap.store.errors import MessageGone
from services.imap.store.mailbox import Mailbox
from tests.support import imap_commands

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


@pytest.fixture
def work(maildir: Path) -> Iterator[MailboxSession]:
    work = MailboxSession(maildir, None)
    yield work
    work.close()


def perform(work: MailboxSession, line: bytes) -> Answer:
    """A command's answer, in a thread that may hang."""
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.append(imap_commands.perform(work, line)), daemon=True)
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
def test_what_is_no_list_counts_as_none(
    maildir: Path, work: MailboxSession, name: str, make: Callable[[Path], None]
) -> None:
    make(maildir / name)
    assert perform(work, b'a LSUB "" *') == Answer()
    selected = perform(work, b"a SELECT INBOX")
    assert selected.kind == b"OK" and b"* 1 EXISTS\r\n" in selected.lines


def test_instead_of_a_uid_list_that_is_none_stands_a_new_one_above_it(maildir: Path, work: MailboxSession) -> None:
    perform(work, b"a SELECT INBOX")
    old = work.selected and work.selected.mailbox.validity
    os.mkfifo(maildir / "imapuids" / "9")
    for _ in range(2):
        again = MailboxSession(maildir, None)
        perform(again, b"a SELECT INBOX")
        assert again.selected is not None and again.selected.mailbox.validity > (old or 0)
        new = uidstore.read_list(again.selected.mailbox.fd)
        assert (new.number, new.validity) == (10, again.selected.mailbox.validity)
        again.close()


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
    path = maildir / "cur" / "2.a:2,"
    path.write_bytes(b"x")
    source = Mailbox(os.open(maildir, os.O_RDONLY), b"", read_only=True)
    source.refresh()
    path.unlink()
    make(path)
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


@pytest.mark.parametrize("command", [b"a COPY 1 INBOX.lama", b"a MOVE 1 INBOX.lama"])
def test_a_target_that_is_removed_meanwhile_ends_a_copy(
    maildir: Path, work: MailboxSession, monkeypatch: pytest.MonkeyPatch, command: bytes
) -> None:
    perform(work, b"a CREATE INBOX.lama")
    perform(work, b"a SELECT INBOX")

    def remove_the_target(_: object) -> bytes:
        shutil.rmtree(maildir / ".lama", ignore_errors=True)
        return b"9.a"

    monkeypatch.setattr(copying, "_new_base", remove_the_target)
    assert perform(work, command).kind == b"NO"
    assert perform(work, b"a FETCH 1 UID").kind == b"OK"


def test_a_copied_message_is_the_same(maildir: Path) -> None:
    content = b"Subject: x\n\n" + b"0123456789\n" * 100_000
    (maildir / "cur" / "2.a:2,").write_bytes(content)
    source = Mailbox(os.open(maildir, os.O_RDONLY), b"", read_only=True)
    source.refresh()
    message = next(message for message in source.messages.values() if message.base == b"2.a")
    copying._copy_octets(source, message, source, b"cur/3.a:2,")
    assert (maildir / "cur" / "3.a:2,").read_bytes() == content


# --- messages ---

MULTIPART = b"Content-Type: multipart/mixed; boundary=b\n\n"

LARGE = (
    b"Subject: besar\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
    + b"0123456789abcdef\n" * 200_000
    + b"--b\nContent-Type: text/html\n\nakhir\n--b--\n"
)


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=5), st.integers(0, 310), st.integers(0, 310))
def test_content_read_in_windows_is_what_lies_in_the_file(raw: bytes, wanted: bytes, start: int, end: int) -> None:
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "WINDOW_BYTES", 16)
        patch.setattr(content, "_BEHIND_BYTES", 4)
        file.write(raw)
        file.flush()
        read = FileContent(file.fileno(), len(raw))
        for one in (wanted, raw[5:8] or b"x"):
            assert read.find(one, start, end) == raw.find(one, start, end)
            assert read.find(one) == raw.find(one)
        assert (read[start:end], read[:], read[3:5]) == (raw[start:end], raw, raw[3:5])


@given(st.lists(st.sampled_from([b"\n", b"\r\n", b"--b", b"--b--", b"x", MULTIPART, b"\n\n"]), max_size=60))
def test_a_message_read_in_windows_is_parsed_like_bytes(words: list[bytes]) -> None:
    raw = MULTIPART + b"".join(words)
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "WINDOW_BYTES", 128)
        file.write(raw)
        file.flush()
        there, here = mail.parse(FileContent(file.fileno(), len(raw))), mail.parse(raw)
        assert mail.bodystructure(there) == mail.bodystructure(here)
        assert mail.envelope(there) == mail.envelope(here)
        whole, again = (mail.section(one, mail.SectionSpec((), None, ())) for one in (there, here))
        assert whole is not None and again is not None and list(whole) == list(again)


def test_a_session_holds_no_large_message_in_memory(maildir: Path, work: MailboxSession) -> None:
    (maildir / "cur" / "2.a:2,").write_bytes(LARGE * 6)
    perform(work, b"a SELECT INBOX")
    wanted = imap_commands.request(b"a FETCH 2 (RFC822.SIZE BODYSTRUCTURE BODY.PEEK[])")
    tracemalloc.start()
    data, answer = work.begin(wanted)
    size = len(data)
    while answer is None:
        data, answer = work.go_on()
        size += len(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 20_000_000 and peak < 4_000_000


def shortened(path: Path) -> None:
    os.truncate(path, 100)


def grown_narrower(path: Path) -> None:
    """As many octets as before, fewer of them line ends: fewer octets in CRLF form."""
    path.write_bytes(LARGE.replace(b"\n", b" "))


@pytest.mark.parametrize("change", [shortened, grown_narrower])
def test_a_message_that_changes_in_the_middle_of_its_answer_ends_the_connection(
    maildir: Path, work: MailboxSession, change: Callable[[Path], None]
) -> None:
    path = maildir / "cur" / "2.a:2,"
    path.write_bytes(LARGE)
    perform(work, b"a SELECT INBOX")
    data, answer = work.begin(imap_commands.request(b"a FETCH 2,1 BODY.PEEK[]"))
    while b"besar" not in data:  # up to the large one
        data, answer = work.go_on()
    change(path)
    sent = len(data)
    while answer is None:
        data, answer = work.go_on()
        sent += len(data)
    assert answer == CutShort() and sent < len(LARGE) + LARGE.count(b"\n")
    assert b"FETCH (UID 1" not in data, "the next message would be taken for the rest of this"
    assert perform(work, b"a FETCH 1 UID").kind == b"OK"


def test_after_an_answer_that_was_cut_short_nothing_more_is_said() -> None:
    session = ImapSession(COMMANDS, Terms(plain_allowed=lambda peer: True, tls_available=lambda: False))
    session.connected(Peer("192.0.2.1", 1, "192.0.2.2", 143, False))
    session.received(b"a LOGIN joni rahasia\r\n")
    session.answered(LoggedIn(Account(b"joni", 2001, 2001, Path("/home/joni"))))
    session.received(b"b SELECT INBOX\r\n")
    session.answered(Answer(b"OK", b"", selected=True))
    assert isinstance(session.received(b"c FETCH 1 BODY[]\r\nd NOOP\r\n")[0], Ask)
    assert session.answered(CutShort()) == [Close()]


def beyond_all_bounds(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def socket_file(path: Path) -> None:
    short = tempfile.mktemp(dir="/tmp")  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(short)
    os.rename(short, path)


@pytest.mark.parametrize("make", [fifo, link, Path.mkdir, beyond_all_bounds, socket_file])
def test_one_odd_message_keeps_nobody_from_the_others(
    maildir: Path, work: MailboxSession, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2, 5):
        (maildir / "cur" / f"{number}.a:2,").write_bytes(b"Subject: lain\n\nisi\n")
    odd = maildir / "cur" / "3.b:2,"
    odd.write_bytes(b"x")
    real, reads = os.pread, []

    def pread(fd: int, length: int, offset: int) -> bytes:
        reads.append(length)
        return real(fd, length, offset)

    assert b"* 5 EXISTS\r\n" in perform(work, b"a SELECT INBOX").lines
    odd.unlink()
    make(odd)
    monkeypatch.setattr(os, "pread", pread)
    for item in (b"BODY.PEEK[]", b"RFC822.SIZE", b"BODYSTRUCTURE"):
        answer = perform(work, b"a FETCH 1:* " + item)
        # What is no file any more is found to be odd, or by the next look to be no message any more.
        assert (answer.kind, answer.code) in ((b"NO", b"CORRUPTION"), (b"OK", b"EXPUNGEISSUED"))
        assert answer.lines[0].count(b"FETCH (") == 4
    found = perform(work, b"a SEARCH BODY isi")
    assert found.lines[0] == b"* SEARCH 2 3 5\r\n"
    assert found.kind == b"OK"
    assert perform(work, b"a UID FETCH 1:* FLAGS").kind == b"OK"
    assert sum(reads) < 10_000
