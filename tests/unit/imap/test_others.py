"""What a session meets when others change its folder, or something odd lies in it, between two of its steps."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from qmail.maildir.reader import clean_tmp
from services.imap.flags import MAX_KEYWORDS
from services.imap.grammar.folders import Append
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.mailbox.view import Changes
from services.imap.session.requests import AppendBegin
from services.imap.session.results import Answer, Ready
from services.imap.store import maildir as store_maildir
from services.imap.store import snapshot
from services.imap.store.keywords import write_keywords
from services.imap.store.mailbox import Mailbox
from services.imap.store.maildir import Maildir
from services.imap.store.snapshot import File
from services.imap.store.troubles import Trouble
from tests.support.imap_commands import perform


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    return tmp_path / "Maildir"


def put(maildir: Path, *names: str, folder: str = "cur") -> None:
    for name in names:
        (maildir / folder / name).write_bytes(b"Subject: x\n\nbody\n")


def ask(work: MailboxSession, text: bytes) -> tuple[bytes, Answer]:
    """A command's untagged lines together, and its Answer."""
    answer = perform(work, text)
    return b"".join(answer.lines), answer


def selected(maildir: Path) -> MailboxSession:
    work = MailboxSession(maildir, None)
    assert ask(work, b"a SELECT INBOX")[1].kind == b"OK"
    return work


def count_scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    scan, count = snapshot.scan, [0]

    def counted(*arguments: object) -> dict[bytes, File]:
        count[0] += 1
        return scan(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "scan", counted)
    return count


def test_messages_that_another_session_renamed_or_removed_are_found_by_one_look(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, *(f"{number}.a.h:2," for number in range(100, 140)))
    work = selected(maildir)
    for number in range(100, 120):
        (maildir / "cur" / f"{number}.a.h:2,").rename(maildir / "cur" / f"{number}.a.h:2,S")
    for number in range(120, 130):
        (maildir / "cur" / f"{number}.a.h:2,").unlink()
    scans = count_scans(monkeypatch)
    given, answer = ask(work, b"a FETCH 1:* BODY.PEEK[]")
    assert given.count(b" FETCH (BODY[]") == 30
    assert answer.code == b"EXPUNGEISSUED"
    # One look at a miss, one more for what seems gone, and the same again to tell the client at the end.
    assert scans[0] <= 4


def test_a_message_delivered_again_after_it_was_moved_to_cur_stays_one_and_stays_deleted(maildir: Path) -> None:
    put(maildir, "1.a.h:2,S")
    work = selected(maildir)
    put(maildir, "1.a.h", folder="new")
    ask(work, b"a NOOP")
    assert list((maildir / "new").iterdir()) == []
    ask(work, b"a STORE 1 +FLAGS (\\Deleted)")
    ask(work, b"a EXPUNGE")
    assert ask(selected(maildir), b"a NOOP")[1].kind == b"OK"
    assert list((maildir / "cur").iterdir()) == []


def test_another_message_under_the_same_name_becomes_one_of_its_own(maildir: Path) -> None:
    put(maildir, "1.a.h,S=17:2,S")
    work = selected(maildir)
    (maildir / "new" / "1.a.h,S=17").write_bytes(b"Subject: another\n\nlonger body\n")
    ask(work, b"a NOOP")
    ask(work, b"a NOOP")
    data, _ = ask(work, b"a FETCH 1:* (UID BODY.PEEK[TEXT])")
    assert data.count(b"UID 1 ") == data.count(b"UID 2 ") == 1
    assert b"longer body" in data


def test_examine_leaves_a_repeated_delivery_alone(maildir: Path) -> None:
    put(maildir, "1.a.h:2,S")
    put(maildir, "1.a.h", folder="new")
    work = MailboxSession(maildir, None)
    assert b"* 1 EXISTS" in ask(work, b"a EXAMINE INBOX")[0]
    assert (maildir / "new" / "1.a.h").exists()


def test_only_what_is_gone_and_was_not_told_keeps_a_session_looking(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h:2,", "2.b.h:2,")
    work = selected(maildir)
    assert work.selected is not None
    mailbox, update, diffs = work.selected.mailbox, work.selected.view.update, [0]

    def counted(*arguments: Any, **options: Any) -> Changes:
        diffs[0] += 1
        return update(*arguments, **options)

    monkeypatch.setattr(work.selected.view, "update", counted)
    for changed in (True, False, False):
        monkeypatch.setattr(mailbox, "refresh", lambda changed=changed: changed)
        ask(work, b"a FETCH 1 FLAGS")
    assert diffs[0] == 1
    gone = dict(mailbox.messages)
    del gone[1]

    def lose_one() -> bool:
        mailbox.folder.messages = gone
        return True

    monkeypatch.setattr(mailbox, "refresh", lose_one)
    monkeypatch.setattr(mailbox, "take_changes", lambda: None)
    assert b"EXPUNGE" not in ask(work, b"a FETCH 2 FLAGS")[0]
    monkeypatch.setattr(mailbox, "refresh", lambda: False)
    assert b"EXPUNGE" not in ask(work, b"a FETCH 2 FLAGS")[0]
    assert ask(work, b"a NOOP")[0] == b"* 1 EXPUNGE\r\n"
    ask(work, b"a FETCH 1 FLAGS")
    assert diffs[0] == 3, "a look where it may be told, none where numbers must not shift"


def test_what_is_no_file_is_no_message(maildir: Path) -> None:
    put(maildir, "1.a.h:2,", "3.c.h:2,", "4.d\nline.h:2,")
    (maildir / "cur" / "2.dir.h:2,").mkdir()
    (maildir / "cur" / "2.link.h:2,").symlink_to("nowhere")
    os.mkfifo(maildir / "cur" / "2.fifo.h:2,")
    work = selected(maildir)
    data, answer = ask(work, b"a FETCH 1:* BODY.PEEK[]")
    assert (data.count(b"BODY[]"), answer.kind) == (2, b"OK")
    assert ask(work, b"a SEARCH BODY body")[0] == b"* SEARCH 1 2\r\n"


def test_a_message_that_cannot_be_read_costs_that_message_only(maildir: Path) -> None:
    put(maildir, "1.a.h:2,", "2.b.h:2,", "3.c.h:2,")
    work = selected(maildir)
    (maildir / "cur" / "2.b.h:2,").unlink()
    (maildir / "cur" / "2.b.h:2,").mkdir()
    data, answer = ask(work, b"a FETCH 1:* BODY.PEEK[TEXT]")
    assert b"* 3 FETCH (BODY[TEXT] {6}\r\n" in data
    assert (answer.kind, answer.text) == (b"NO", b"Some messages cannot be read.")


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a message that belongs to somebody else."""
    name, open_ = "2.b.h:2,", os.open

    def refused(path: Any, *more: Any, **options: Any) -> int:
        if os.fsencode(path).endswith(name.encode()):
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_(path, *more, **options)

    monkeypatch.setattr(os, "open", refused)
    return name


def test_a_message_that_cannot_be_read_does_not_keep_search_from_its_answer(maildir: Path, foreign: str) -> None:
    put(maildir, "1.a.h:2,", "3.c.h:2,")
    os.mknod(maildir / "cur" / foreign)
    work = selected(maildir)
    data, answer = ask(work, b"a SEARCH BODY body")
    assert data == b"* SEARCH 1 3\r\n* NO Some messages cannot be read and were not searched.\r\n"
    assert answer.kind == b"OK"
    assert ask(work, b"a SEARCH SINCE 1-Jan-1970")[0] == b"* SEARCH 1 2 3\r\n", "its date is seen without reading it"


def test_each_file_that_cannot_be_read_is_told_once_with_its_name_and_the_missing_right(
    maildir: Path, foreign: str
) -> None:
    put(maildir, "1.a.h:2,")
    os.mknod(maildir / "cur" / foreign, 0o600)
    work = selected(maildir)
    for command in (b"a SEARCH BODY body", b"a SEARCH BODY body", b"a FETCH 1:* BODY.PEEK[]"):
        ask(work, command)
    (trouble,) = work.troubles.take()
    assert trouble.path == str(maildir / "cur" / foreign)
    uid, gid = os.geteuid(), os.getegid()
    assert trouble.why == (
        f"Permission denied: uid {uid} has no right to it: it belongs to uid {uid}, gid {gid}, mode 0600"
    )
    assert work.troubles.take() == []


def test_a_directory_that_cannot_be_entered_hides_no_folder(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (maildir / ".loop").symlink_to(".loop")
    work = selected(maildir)
    for name in (b"Luar", b"Kerja"):
        assert ask(work, b"a CREATE INBOX." + name)[1].kind == b"OK"
    stat = os.stat

    def foreign(path: bytes, *arguments: object, **options: object) -> os.stat_result:
        if path == b".Luar/cur":
            raise PermissionError(13, "Permission denied")
        return stat(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", foreign)
    data, answer = ask(work, b'a LIST "" *')
    assert answer.kind == b"OK"
    assert data.count(b"* LIST") == 2
    assert b"INBOX.Kerja" in data
    for verb in (b"SELECT", b"DELETE"):
        assert ask(work, b"a " + verb + b" INBOX.Luar")[1].code == b"NONEXISTENT"
    (trouble,) = work.troubles.take()
    assert trouble.path == str(maildir / ".Luar") and "has no right to it" in trouble.why


def test_on_a_read_only_disk_nothing_is_offered_that_cannot_be_kept(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h:2,")
    real = os.fstatvfs

    def read_only(fd: int) -> os.statvfs_result:
        facts = list(real(fd))
        facts[8] |= os.ST_RDONLY
        return os.statvfs_result(facts)

    monkeypatch.setattr(os, "fstatvfs", read_only)
    work = MailboxSession(maildir, None)
    lines, answer = ask(work, b"a SELECT INBOX")
    assert answer.code == b"READ-ONLY" and b"[PERMANENTFLAGS ()]" in lines
    assert ask(work, rb"a STORE 1 +FLAGS (\Deleted)")[1].kind == b"NO"


def test_a_folder_that_vanishes_during_list_is_listed_without_its_status(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = selected(maildir)
    for name in (b"a", b"b"):
        ask(work, b"a CREATE INBOX." + name)

    def opened(maildir_fd: int, directory: bytes, **options: Any) -> Mailbox:
        mailbox = Mailbox(maildir_fd, directory, **options)
        if directory == b".a":
            (maildir / ".a").rename(maildir / ".deleted")
            for part in ("cur", "new", "tmp"):
                (maildir / ".deleted" / part).rename(maildir / f"gone.{part}")
        return mailbox

    monkeypatch.setattr(store_maildir, "Mailbox", opened)
    data, answer = ask(work, b'a LIST "" * RETURN (STATUS (MESSAGES))')
    assert answer.kind == b"OK"
    assert data.count(b"* LIST") == 3
    assert data.count(b"* STATUS") == 2


@pytest.mark.parametrize("box", ["INBOX", "INBOX.a"])
def test_select_sweeps_what_a_dead_writer_left_in_tmp_and_examine_does_not(
    maildir: Path, box: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = selected(maildir)
    ask(work, b"a CREATE INBOX.a")
    left = maildir / ("" if box == "INBOX" else ".a") / "tmp" / "left"
    left.write_bytes(b"")
    now = time.time()
    ask(work, b"a SELECT " + box.encode())
    assert left.exists()
    monkeypatch.setattr(time, "time", lambda: now + 37 * 3600)
    ask(work, b"a EXAMINE " + box.encode())
    assert left.exists()
    ask(work, b"a SELECT " + box.encode())
    assert not left.exists()


def test_a_message_with_an_old_date_is_kept_while_somebody_selects_the_folder(maildir: Path) -> None:
    """MULTIAPPEND holds several complete messages in tmp until the last has come."""
    work, other = selected(maildir), selected(maildir)
    append = Append(b"INBOX", (), int(time.time()) - 10 * 365 * 86400)
    for _ in range(2):
        assert isinstance(work.append_begin(AppendBegin(append, 20)), Ready)
        work.append_data(b"Subject: lama\r\n\r\nisi\r\n")
        ask(other, b"b SELECT INBOX")
        clean_tmp(maildir, time.time(), as_qmail=True)
    answer = work.append_commit()
    assert answer.kind == b"OK"
    assert [path.stat().st_mtime for path in (maildir / "cur").iterdir()] == [append.date] * 2


def test_renaming_inbox_takes_keywords_along_and_goes_on_past_what_others_changed(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h:2,", "2.b.h:2,", "3.c.h:2,")
    work = selected(maildir)
    ask(work, b"a STORE 1:3 +FLAGS (Kerja)")
    rename, pending = os.rename, ["2.b.h:2,"]

    def meanwhile(old: bytes, new: bytes, **where: int) -> None:
        if old.startswith(b"cur/") and pending:
            rename(maildir / "cur" / pending.pop(), maildir / "cur" / "2.b.h:2,F")
            (maildir / "cur" / "3.c.h:2,").unlink()
        rename(old, new, **where)

    monkeypatch.setattr(os, "rename", meanwhile)
    assert ask(work, b"a RENAME INBOX INBOX.Lama")[1].kind == b"OK"
    assert b"* 2 EXISTS" in ask(work, b"a SELECT INBOX.Lama")[0]
    data, _ = ask(work, b"a FETCH 1:* FLAGS")
    assert data == b"* 1 FETCH (FLAGS (Kerja))\r\n* 2 FETCH (FLAGS (\\Flagged Kerja))\r\n"
    assert b"* 0 EXISTS" in ask(work, b"a SELECT INBOX")[0]


def test_renaming_inbox_ends_when_the_new_folder_is_deleted_meanwhile(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h:2,")
    work = selected(maildir)
    rename = os.rename

    def meanwhile(old: bytes, new: bytes, **where: int) -> None:
        if old.startswith(b"cur/") and (maildir / ".Lama" / "cur").exists():
            (maildir / ".Lama" / "cur").rmdir()
        rename(old, new, **where)

    monkeypatch.setattr(os, "rename", meanwhile)
    assert ask(work, b"a RENAME INBOX INBOX.Lama")[1].kind == b"NO"
    assert (maildir / "cur" / "1.a.h:2,").exists()


@pytest.mark.parametrize("box", ["INBOX", "INBOX.a"])
@pytest.mark.parametrize("missing", [("new",), ("tmp",), ("new", "tmp")])
def test_a_folder_restored_without_its_empty_directories_is_readable(
    maildir: Path, box: str, missing: tuple[str, ...]
) -> None:
    work = selected(maildir)
    ask(work, b"a CREATE INBOX.a")
    folder = maildir if box == "INBOX" else maildir / ".a"
    put(folder, "1.a.h:2,")
    for part in missing:
        (folder / part).rmdir()
    work = MailboxSession(maildir, None)
    assert box.encode() in ask(work, b'a LIST "" *')[0]
    lines, answer = ask(work, b"a SELECT " + box.encode())
    assert answer.kind == b"OK" and b"* 1 EXISTS\r\n" in lines
    assert all((folder / part).is_dir() for part in missing)


def test_a_maildir_without_cur_is_not_made_a_new_empty_inbox(maildir: Path) -> None:
    for part in ("cur", "new", "tmp"):
        (maildir / part).rmdir()
    work = MailboxSession(maildir, None)
    assert ask(work, b"a SELECT INBOX")[1].code == b"UNAVAILABLE"
    assert list(maildir.iterdir()) == []
    assert work.troubles.take() == [Trouble(str(maildir / "cur"), "No such file or directory")]


def test_the_name_that_create_is_announced_with_is_made_without_its_delimiter(maildir: Path) -> None:
    work = selected(maildir)
    assert ask(work, b"a CREATE INBOX.Kerja.")[1].kind == b"OK"
    assert b"INBOX.Kerja" in ask(work, b'a LIST "" *')[0]
    for name in (b"INBOX.", b"INBOX.Kerja."):
        assert ask(work, b"a CREATE " + name)[1].code == b"ALREADYEXISTS"
    assert ask(work, b"a CREATE INBOX..")[1].kind == b"NO"


@pytest.mark.parametrize("name", [b"Sent", b"INBOX.a/b", b"INBOX." + b"x" * 300, b"INBOX..a"])
def test_nobody_is_told_to_create_what_cannot_be_created(maildir: Path, name: bytes) -> None:
    put(maildir, "1.a.h:2,")
    work = selected(maildir)
    assert ask(work, b"a CREATE " + name)[1].kind == b"NO"
    for command in (b"a COPY 1 ", b"a MOVE 1 "):
        assert ask(work, command + name)[1].code == b"CANNOT"
    refused = work.append_begin(AppendBegin(Append(name, (), None), 10))
    assert isinstance(refused, Answer) and refused.code == b"CANNOT"
    assert ask(work, b"a SELECT " + name)[1].code == b"NONEXISTENT"


def test_more_keywords_are_offered_only_while_there_is_room_for_them(maildir: Path) -> None:
    put(maildir, "1.a.h:2,")
    work = selected(maildir)
    lines, _ = ask(
        work, b"a STORE 1 +FLAGS (" + b" ".join(b"k%d" % number for number in range(MAX_KEYWORDS - 1)) + b")"
    )
    assert b"\\*" in lines
    lines, _ = ask(work, b"a STORE 1 +FLAGS (last)")
    assert b"PERMANENTFLAGS" in lines and b"\\*" not in lines
    assert ask(work, b"a STORE 1 +FLAGS (onemore)")[1].kind == b"NO"


def test_a_copied_message_has_no_keyword_that_its_folder_would_forget(maildir: Path) -> None:
    put(maildir, "1.a.h:2,", "2.b.h:2,")
    work = selected(maildir)
    ask(work, b"a CREATE INBOX.a")
    ask(work, b"a STORE 1 +FLAGS (" + b" ".join(b"k%d" % number for number in range(MAX_KEYWORDS)) + b")")
    ask(work, b"a COPY 1 INBOX.a")
    ask(work, b"a STORE 1 FLAGS ()")
    other = Maildir(maildir).open(b".a", read_only=False)
    other.refresh()
    (message,) = other.messages.values()
    assert len(message.keywords) == len(other.keyword_names()) == MAX_KEYWORDS
    opened = Maildir(maildir)
    write_keywords(opened.fd, b"2.b.h", frozenset((b"more", b"K1")))
    opened.close()
    ask(work, b"a NOOP")
    ask(work, b"a COPY 2 INBOX.a")
    other.refresh()
    newest = other.messages[max(other.messages)]
    assert newest.keywords == {b"k1"}, "in the folder's own case, and none beyond its bound"
    assert set(newest.keywords) <= set(other.keyword_names())


def test_a_keyword_is_not_dropped_while_the_client_knows_a_message_that_has_it(maildir: Path) -> None:
    put(maildir, "1.a.h:2,", "2.b.h:2,")
    work, other = selected(maildir), selected(maildir)
    ask(other, b"a STORE 1 FLAGS (satu)")
    ask(other, b"a STORE 2 FLAGS (dua)")
    lines = ask(work, b"a NOOP")[0].splitlines()
    assert [line.split(b" ")[:3] for line in lines if b"OK" not in line] == [
        [b"*", b"FLAGS", b"(satu"],
        [b"*", b"1", b"FETCH"],
        [b"*", b"2", b"FETCH"],
    ], "told before a message has it"
    ask(other, b"a STORE 1 FLAGS ()")
    lines = ask(work, b"a NOOP")[0].splitlines()
    assert lines[0] == b"* 1 FETCH (FLAGS ())", "and dropped after none has it any more"
    assert lines[1].startswith(b"* FLAGS (dua ")
    ask(other, rb"a STORE 2 FLAGS (\Deleted)")
    ask(other, b"a EXPUNGE")
    assert b"FLAGS (" not in ask(work, b"a FETCH 1 UID")[0], "that the message is gone cannot be told now"
    assert ask(work, b"a NOOP")[0].startswith(b"* 2 EXPUNGE\r\n* FLAGS (\\Draft ")


def test_where_no_name_can_grow_messages_can_still_be_deleted(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory takes a longer name only while its last block has room."""
    put(maildir, "1.a.h", "2.b.h", folder="new")
    put(maildir, "3.c.h:2,")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        work = selected(maildir)
        lines, answer = ask(work, rb"a STORE 1:2 +FLAGS (\Deleted)")
        assert answer.kind == b"OK" and lines.count(rb"\Deleted") == 2 and b"* NO No room" in lines
        assert ask(work, b"a SEARCH DELETED")[0] == b"* SEARCH 1 2\r\n"
        assert b"body" in ask(work, b"a FETCH 2 BODY[TEXT]")[0]
        assert ask(work, b"a EXPUNGE")[0].count(b"EXPUNGE\r\n") == 2
    assert [path.name for path in maildir.rglob("*.h*")] == ["2.b.h"]
    lines, _ = ask(work, rb"a STORE 1 +FLAGS (\Flagged)")
    assert b"NO" not in lines
    assert [path.name for path in maildir.rglob("*.h*")] == ["2.b.h:2,F"]
