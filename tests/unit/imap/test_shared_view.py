"""One view of a folder for all sessions of a process: each is told everything, in order, and nobody reads it all."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.store import folder as store_folder
from services.imap.store import folders as store_folders
from services.imap.store import snapshot, watch
from services.imap.store.folders import Folders
from services.imap.store.mailbox import Mailbox
from services.imap.store.maildir import Maildir
from services.imap.store.snapshot import File
from tests.support.imap_commands import perform

Say = Callable[[bytes], bytes]


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    return tmp_path / "Maildir"


@pytest.fixture(params=[True, False], ids=["watched", "unwatched"])
def folders(request: pytest.FixtureRequest) -> Iterator[Folders]:
    shared = Folders(watched=request.param)
    yield shared
    shared.close()


@pytest.fixture
def watched() -> Iterator[Folders]:
    shared = Folders()
    yield shared
    shared.close()


def deliver(maildir: Path, name: str) -> None:
    (maildir / "tmp" / name).write_bytes(b"Subject: x\n\nbody\n")
    (maildir / "tmp" / name).rename(maildir / "new" / name)


def session(maildir: Path, folders: Folders, select: bytes = b"SELECT") -> Say:
    work = MailboxSession(maildir, None, folders)
    perform(work, b"a " + select + b" INBOX")
    return lambda command: b"".join(perform(work, b"a " + command).lines)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    scan, count = snapshot.scan, [0]

    def counted(*arguments: object) -> dict[bytes, File]:
        count[0] += 1
        return scan(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "scan", counted)
    return count


def test_what_one_session_does_the_others_are_told_at_its_turn(maildir: Path, folders: Folders) -> None:
    for number in range(1, 6):
        deliver(maildir, f"{number}.a.h")
    one, two = session(maildir, folders), session(maildir, folders)
    one(b"STORE 2 +FLAGS (\\Seen Kerja)")
    told = two(b"NOOP")
    assert b"* FLAGS (Kerja " in told and b"* 2 FETCH (FLAGS (\\Seen Kerja))\r\n" in told
    one(b"STORE 1,3 +FLAGS.SILENT (\\Deleted)")
    assert one(b"EXPUNGE") == b"* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n* 3 RECENT\r\n"
    assert b"EXPUNGE" not in two(b"FETCH 4 UID"), "numbers must not shift now"
    assert two(b"FETCH 2 UID") == b"* 2 FETCH (UID 2)\r\n"
    assert two(b"NOOP") == b"* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n"
    assert two(b"FETCH 1:* UID") == b"* 1 FETCH (UID 2)\r\n* 2 FETCH (UID 4)\r\n* 3 FETCH (UID 5)\r\n"


def test_a_message_is_recent_to_one_session(maildir: Path, folders: Folders) -> None:
    reads, one, two = session(maildir, folders, b"EXAMINE"), session(maildir, folders), session(maildir, folders)
    deliver(maildir, "1.a.h")
    assert b"* 1 RECENT" in reads(b"NOOP"), "who only reads takes nothing away"
    assert (maildir / "new" / "1.a.h").exists()
    assert b"* 1 EXISTS\r\n* 1 RECENT\r\n" in one(b"NOOP")
    assert b"* 1 EXISTS\r\n* 0 RECENT\r\n" in two(b"NOOP")
    assert (maildir / "cur" / "1.a.h:2,").exists()


def test_a_change_by_whomever_is_no_reason_to_read_the_folder(
    maildir: Path, watched: Folders, scans: list[int]
) -> None:
    for number in range(1, 20):
        deliver(maildir, f"{number}.a.h")
    one, two = session(maildir, watched), session(maildir, watched)
    assert watch.Watches().begin(os.open(maildir, os.O_RDONLY)) is not None, "this machine has inotify(7)"
    scans[0] = 0
    deliver(maildir, "20.a.h")
    assert b"* 20 EXISTS" in one(b"NOOP")
    (maildir / "cur" / "3.a.h:2,").rename(maildir / "cur" / "3.a.h:2,RS")
    (maildir / "cur" / "4.a.h:2,").unlink()
    assert two(b"NOOP") == b"* 4 EXPUNGE\r\n* 19 EXISTS\r\n* 3 FETCH (FLAGS (\\Answered \\Seen))\r\n".replace(
        b"* 19 EXISTS\r\n", b"* 19 EXISTS\r\n* 0 RECENT\r\n"
    )
    one(b"STORE 1:5 +FLAGS (\\Flagged)")
    one(b"STORE 1 -FLAGS (\\Flagged)")
    assert b"\\Flagged" in two(b"NOOP")
    session(maildir, watched)(b"NOOP")
    assert scans[0] == 0


def test_a_view_is_there_for_the_next_session_and_given_back_within_its_bounds(
    maildir: Path, watched: Folders, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(maildir, "1.a.h")
    held = len(os.listdir("/proc/self/fd"))
    work = MailboxSession(maildir, None, watched)
    perform(work, b"a SELECT INBOX")
    work.close()
    scans[0] = 0
    deliver(maildir, "2.b.h")
    again = MailboxSession(maildir, None, watched)
    assert b"* 2 EXISTS\r\n" in perform(again, b"a SELECT INBOX").lines
    assert scans[0] == 0
    monkeypatch.setattr(store_folders, "IDLE_SECONDS", -1.0)
    again.close()
    assert len(os.listdir("/proc/self/fd")) == held


def test_a_folder_made_anew_under_the_same_name_is_another(maildir: Path, folders: Folders) -> None:
    one = session(maildir, folders)
    one(b"CREATE INBOX.a")
    before = one(b"STATUS INBOX.a (UIDVALIDITY)")
    one(b"DELETE INBOX.a")
    one(b"CREATE INBOX.a")
    assert one(b"STATUS INBOX.a (UIDVALIDITY)") != before


def test_who_has_not_looked_for_very_many_changes_is_told_of_all(
    maildir: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_folder, "MAX_CHANGES", 4)
    for number in range(1, 4):
        deliver(maildir, f"{number}.a.h")
    one, two = session(maildir, folders), session(maildir, folders)
    for _ in range(20):
        one(b"STORE 1 +FLAGS (\\Seen)")
        one(b"STORE 1 -FLAGS (\\Seen)")
    one(b"STORE 3 +FLAGS (\\Flagged)")
    assert two(b"NOOP") == b"* 3 FETCH (FLAGS (\\Flagged))\r\n"


def test_where_the_kernel_has_told_too_much_the_folder_is_read(
    maildir: Path, watched: Folders, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session(maildir, watched)
    for number in range(1, 10):
        deliver(maildir, f"{number}.a.h")
    scans[0] = 0
    with monkeypatch.context() as few:
        few.setattr(watch, "MAX_PENDING", 3)
        assert b"* 9 EXISTS" in one(b"NOOP")
    assert scans[0] > 0
    one(b"NOOP")
    scans[0] = 0
    deliver(maildir, "10.a.h")
    assert b"* 10 EXISTS" in one(b"NOOP")
    assert scans[0] == 0


def test_a_message_with_two_names_is_none_less_when_it_loses_one(maildir: Path, watched: Folders) -> None:
    deliver(maildir, "1.a.h")
    one = session(maildir, watched)
    (maildir / "cur" / "1.a.h:2,S").write_bytes(b"Subject: x\n\nbody\n")
    one(b"NOOP")
    (maildir / "cur" / "1.a.h:2,S").unlink()
    assert b"EXPUNGE" not in one(b"NOOP")
    assert one(b"FETCH 1 FLAGS") == b"* 1 FETCH (FLAGS (\\Recent))\r\n"


def test_whatever_others_do_meanwhile_the_view_ends_as_the_folder_is(maildir: Path, folders: Folders) -> None:
    """Sessions, deliveries and foreign programs at once; in the end a look of its own sees the same."""
    for number in range(100, 140):
        deliver(maildir, f"{number}.a.h")
    failures: list[BaseException] = []

    def client(seed: int) -> None:
        chance = random.Random(seed)
        try:
            say = session(maildir, folders)
            for _ in range(40):
                flag = chance.choice((b"\\Seen", b"\\Flagged", b"\\Deleted", b"Kerja"))
                sign = chance.choice((b"+", b"-"))
                say(b"UID STORE %d %bFLAGS (%b)" % (chance.randint(1, 60), sign, flag))
                say(chance.choice((b"NOOP", b"EXPUNGE", b"NOOP", b"FETCH 1:* (FLAGS BODY.PEEK[])")))
        except BaseException as error:
            failures.append(error)

    def foreign(seed: int) -> None:
        chance = random.Random(seed)
        for number in range(60):
            deliver(maildir, f"{200 + number}.{seed}.h")
            for name in os.listdir(maildir / "cur")[:1]:
                base = name.partition(":")[0]
                try:
                    if chance.random() < 0.3:
                        (maildir / "cur" / name).unlink()
                    else:
                        (maildir / "cur" / name).rename(maildir / "cur" / f"{base}:2,{chance.choice(('', 'R', 'S'))}")
                except FileNotFoundError:
                    pass  # somebody else was faster

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(4)]
    threads += [threading.Thread(target=foreign, args=(seed,)) for seed in (7, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    end = session(maildir, folders)
    end(b"NOOP")
    opened = Maildir(maildir, folders=folders)
    shared, own = Mailbox(opened.fd, b"", read_only=False, folders=folders), Mailbox(opened.fd, b"", read_only=False)
    shared.refresh()
    own.refresh()
    assert list(shared.messages.values()) == list(own.messages.values())
    assert (shared.validity, shared.next_uid) == (own.validity, own.next_uid)
    numbers = [line.split()[1] for line in end(b"FETCH 1:* UID").splitlines()]
    assert len(numbers) == len(own.messages)
    opened.close()
