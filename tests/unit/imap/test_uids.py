"""UID lists: crashes between any two steps, several writers at once, damage, and Courier's lists."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.imap.flags import NONE, FlagSet
from services.imap.mailbox.incoming import Incoming
from services.imap.mailbox.selected import Selected
from services.imap.store import files, snapshot, uidstore
from services.imap.store.counted import Counted
from services.imap.store.errors import Busy, StoreError, TooManyMessages
from services.imap.store.mailbox import Mailbox
from services.imap.store.maildir import Maildir
from services.imap.store.names import INBOX
from services.imap.store.snapshot import File
from services.imap.store.subscriptions import change_subscription, read_subscriptions
from services.imap.store.uidlist import InvalidList, ListFile, parse_courier, parse_file, render_file
from services.imap.store.validity import next_validity, passing_validity

OPERATIONS = ("open", "write", "fsync", "link", "rename", "unlink", "mkdir", "utime", "close")


class Crash(BaseException):
    """The process is dead; whatever it still tries does nothing."""


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    return tmp_path / "Maildir"


def put(maildir: Path, *names: str, folder: str = "new") -> None:
    for name in names:
        (maildir / folder / name).write_bytes(b"Subject: x\n\n")


def look(maildir: Path, *, read_only: bool = False, directory: bytes = b"") -> tuple[dict[bytes, int], int, set[int]]:
    """UIDs by base name, UIDVALIDITY, \\Recent: what a fresh session sees."""
    opened = Maildir(maildir)
    mailbox = Mailbox(opened.fd, directory, read_only=read_only)
    try:
        mailbox.refresh()
        return {m.base: m.uid for m in mailbox.messages.values()}, mailbox.validity, mailbox.recent
    finally:
        mailbox.close()
        opened.close()


def crash_points(
    monkeypatch: pytest.MonkeyPatch, prepare: Callable[[], None], act: Callable[[], object]
) -> Iterator[int]:
    """Do `act` again and again, killed before its 1st, 2nd, ... file operation, until it comes through."""
    for point in range(1, 500):
        prepare()
        left = [point]
        held = _descriptors()
        with monkeypatch.context() as patch:
            for name in OPERATIONS:
                patch.setattr(os, name, _dying(getattr(os, name), left))
            try:
                act()
                done = True
            except Crash:
                done = False
        if not done:
            for fd in _descriptors() - held:  # the death of a process does that too
                os.close(fd)
        yield point
        if done:
            assert point > 3, "nothing was interrupted"
            return
    raise AssertionError("never came through")


def _descriptors() -> set[int]:
    """Those that are open; the one that listed them is not any more."""
    return {int(name) for name in os.listdir("/proc/self/fd") if Path(f"/proc/self/fd/{name}").is_symlink()}


def _dying(real: Callable[..., object], left: list[int]) -> Callable[..., object]:
    def call(*args: object, **options: object) -> object:
        left[0] -= 1
        if left[0] <= 0:
            raise Crash
        return real(*args, **options)

    return call


@pytest.mark.parametrize("chain", [1, 2, 64])
def test_a_crash_at_any_step_of_numbering_keeps_every_uid_that_was_told(
    maildir: Path, monkeypatch: pytest.MonkeyPatch, chain: int
) -> None:
    monkeypatch.setattr(uidstore, "MAX_CHAIN", chain)
    put(maildir, "1.a.h", "2.b.h")
    told, validity, _ = look(maildir)
    count = [10]

    def prepare() -> None:
        count[0] += 1
        put(maildir, f"{count[0]}.n.h")

    for _ in crash_points(monkeypatch, prepare, lambda: look(maildir)):
        uids, now, _ = look(maildir)
        assert now == validity
        assert told.items() <= uids.items()
        assert len(set(uids.values())) == len(uids) == count[0] - 10 + 2
        told = uids


def test_a_crash_at_any_step_of_the_first_numbering_harms_nothing(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h", "2.b.h")

    def prepare() -> None:
        for path in (maildir / "imapuids").glob("*"):
            path.unlink()

    for _ in crash_points(monkeypatch, prepare, lambda: look(maildir)):
        first = look(maildir)
        assert first[0] == {b"1.a.h": 1, b"2.b.h": 2}
        assert look(maildir)[:2] == first[:2]


def test_a_crash_at_any_step_of_append_leaves_the_whole_message_or_none(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"Subject: utuh\r\n\r\nsemua\r\n"

    def append() -> None:
        opened = Maildir(maildir)
        incoming = Incoming(Mailbox(opened.fd, b"", read_only=True), INBOX, Counted(opened.fd))
        incoming.begin(FlagSet(b"S", frozenset((b"Kerja",))), 1)
        incoming.write(body)
        answer = incoming.commit()
        assert answer.kind == b"OK"
        assert b"APPENDUID" in answer.code

    def prepare() -> None:
        for path in maildir.rglob("*"):
            if path.is_file() and path.parent.name != "imapuids":
                path.unlink()

    given: set[int] = set()
    for _ in crash_points(monkeypatch, prepare, append):
        for path in (maildir / "cur").iterdir():
            assert path.read_bytes() == body.replace(b"\r\n", b"\n")
            assert path.name.endswith(f",S={len(body) - 3}:2,S")
        uids, _, _ = look(maildir)
        assert len(uids) in (0, 1)
        assert not given & set(uids.values())
        given.update(uids.values())


def test_messages_of_one_append_hold_one_descriptor_at_a_time_and_have_a_bound(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.imap.mailbox.incoming.MAX_MESSAGES", 30)
    opened = Maildir(maildir)
    incoming = Incoming(Mailbox(opened.fd, b"", read_only=True), INBOX, Counted(opened.fd))
    before = len(os.listdir("/proc/self/fd"))
    for number in range(30):
        incoming.begin(FlagSet(b"S", NONE), number)
        incoming.write(b"%d\r" % number)
        assert len(os.listdir("/proc/self/fd")) == before + 1
    with pytest.raises(TooManyMessages):
        incoming.begin(FlagSet(b"S", NONE), None)
    assert incoming.commit().kind == b"OK"
    assert sorted(path.read_bytes() for path in (maildir / "cur").iterdir()) == sorted(
        b"%d\r" % number for number in range(30)
    )
    assert {int(path.stat().st_mtime) for path in (maildir / "cur").iterdir()} == set(range(30))
    assert list((maildir / "tmp").iterdir()) == []


def test_a_message_that_did_not_reach_the_disk_fails_the_whole_append(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Maildir(maildir)
    incoming = Incoming(Mailbox(opened.fd, b"", read_only=True), INBOX, Counted(opened.fd))
    real, left = os.fsync, [1]

    def fsync(fd: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "full")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    for _ in range(3):
        incoming.begin(FlagSet(b"", NONE), None)
        incoming.write(b"x")
    with pytest.raises(OSError, match="full"):
        incoming.commit()
    incoming.abort()
    assert list((maildir / "cur").iterdir()) == list((maildir / "tmp").iterdir()) == []


def test_a_crash_at_any_step_of_subscribe_keeps_the_other_subscriptions(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Maildir(maildir)
    change_subscription(opened.fd, b"INBOX.lama", subscribed=True)
    count = [0]

    def act() -> None:
        change_subscription(opened.fd, b"INBOX.%d" % count[0], subscribed=True)

    def prepare() -> None:
        count[0] += 1

    for _ in crash_points(monkeypatch, prepare, act):
        names = read_subscriptions(opened.fd)
        assert names[0] == b"INBOX.lama"
        assert len(names) == len(set(names))
    assert names[-1] == b"INBOX.%d" % count[0]


def test_of_two_subscriptions_at_the_same_time_none_is_lost(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Maildir(maildir), Maildir(maildir)
    replace_file, waited = files.replace_file, [0]

    def first_the_other(*arguments: Any) -> None:
        monkeypatch.setattr(files, "replace_file", replace_file)
        with pytest.raises(Busy):
            change_subscription(other.fd, b"INBOX.b", subscribed=True)
        replace_file(*arguments)

    def wait(_: float) -> None:
        waited[0] += 1

    monkeypatch.setattr(files, "replace_file", first_the_other)
    monkeypatch.setattr(time, "sleep", wait)
    change_subscription(one.fd, b"INBOX.a", subscribed=True)
    assert waited[0] > 10, "it was not refused at once"
    change_subscription(other.fd, b"INBOX.b", subscribed=True)
    assert read_subscriptions(one.fd) == [b"INBOX.a", b"INBOX.b"]


def test_a_crash_at_any_step_of_rename_is_healed_by_the_same_command(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Maildir(maildir)

    def prepare() -> None:
        for name in (b"INBOX.a", b"INBOX.a.b", b"INBOX.a.c"):
            if not opened.exists(name):
                opened.create(name)
        for name in opened.folders():
            if name.startswith(b"INBOX.z"):
                opened.delete(name)

    for point in crash_points(monkeypatch, prepare, lambda: opened.rename(b"INBOX.a", b"INBOX.z")):
        if opened.exists(b"INBOX.a"):
            opened.rename(b"INBOX.a", b"INBOX.z")
        assert set(opened.folders()) == {b"INBOX", b"INBOX.z", b"INBOX.z.b", b"INBOX.z.c"}, point


def _write_and_look(maildir: Path, number: int) -> dict[bytes, set[int]]:
    seen: dict[bytes, set[int]] = {}
    opened = Maildir(maildir)
    mailbox = Mailbox(opened.fd, b"", read_only=False)
    for count in range(25):
        put(maildir, f"{1000 + count}.p{number}.h")
        mailbox.touched()
        mailbox.refresh()
        for message in mailbox.messages.values():
            seen.setdefault(message.base, set()).add(message.uid)
    return {**seen, b"recent": set(mailbox.recent)}


@pytest.mark.parametrize("chain", [4, 64])
def test_three_processes_never_give_a_uid_twice_nor_a_message_two(
    maildir: Path, monkeypatch: pytest.MonkeyPatch, chain: int
) -> None:
    monkeypatch.setattr(uidstore, "MAX_CHAIN", chain)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(3, mp_context=context) as workers:
        told = list(workers.map(partial(_write_and_look, maildir), range(3)))
    recents = [one.pop(b"recent") for one in told]
    uids: dict[bytes, set[int]] = {}
    for one in told:
        for base, seen in one.items():
            uids.setdefault(base, set()).update(seen)
    assert len(uids) == 75
    assert all(len(seen) == 1 for seen in uids.values())
    assert len({uid for seen in uids.values() for uid in seen}) == 75
    assert sum(map(len, recents)) == len(set().union(*recents)), "no message was \\Recent for two sessions"
    if chain == 64:
        assert sum(map(len, recents)) >= 40, "seldom one is \\Recent for nobody, when a whole list overtook its claim"
    # The last chain, and what each of the others may have linked into a hole below it since the last sweep.
    assert len(list((maildir / "imapuids").iterdir())) <= chain + 2


def after_each_scan(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> None:
    """Let another session do something between this one's look at the directories and all that follows."""
    scan, count, busy = snapshot.scan, [0], [False]

    def scanned(*arguments: Any) -> dict[bytes, File]:
        found = scan(*arguments)
        if not busy[0]:
            busy[0] = True
            count[0] += 1
            act(count[0])
            busy[0] = False
        return found

    monkeypatch.setattr(snapshot, "scan", scanned)


def test_a_message_numbered_by_another_session_after_our_look_is_shown_at_its_place(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Maildir(maildir)
    other = Mailbox(opened.fd, b"", read_only=False)
    selected = Selected(b"INBOX", Mailbox(opened.fd, b"", read_only=False))
    selected.begin()
    put(maildir, "1.a.h", "3.c.h")

    def meanwhile(look: int) -> None:
        if look == 1:
            put(maildir, "2.b.h")
            other.touched()
            other.refresh()

    after_each_scan(monkeypatch, meanwhile)
    selected.mailbox.touched()
    selected.tell(expunge=True)
    assert [m.base for m in other.messages.values()] == [b"1.a.h", b"2.b.h", b"3.c.h"]
    assert selected.mailbox.messages.keys() == other.messages.keys()
    assert selected.view.uids == [1, 2, 3]


@pytest.mark.parametrize("read_only", [False, True])
def test_while_others_number_faster_than_we_look_nothing_is_shown_above_a_gap(
    maildir: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    opened = Maildir(maildir)
    other = Mailbox(opened.fd, b"", read_only=False)
    selected = Selected(b"INBOX", Mailbox(opened.fd, b"", read_only=read_only))
    mailbox = selected.mailbox
    selected.begin()
    put(maildir, "100.z.h")

    def meanwhile(look: int) -> None:
        if look <= 7:
            put(maildir, f"{99 - look}.n.h", f"{200 + look}.n.h")
            other.touched()
            other.refresh()

    after_each_scan(monkeypatch, meanwhile)
    seen: list[int] = []
    for _ in range(5):
        selected.tell(expunge=True)
        assert selected.view.uids[: len(seen)] == seen
        seen = list(selected.view.uids)
        assert seen == list(range(1, mailbox.next_uid)), "no gap below UIDNEXT"
    assert seen == list(range(1, 16))


def test_what_another_session_numbered_and_readdir_missed_is_looked_for_again(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h", "2.b.h", folder="cur")
    look(maildir)
    scan, missed = snapshot.scan, [b"1.a.h"]

    def missing(*arguments: Any) -> dict[bytes, File]:
        found = scan(*arguments)
        if missed:
            os.rename(maildir / "cur" / "1.a.h", maildir / "cur" / "1.a.h:2,S")
            del found[missed.pop()]
        return found

    monkeypatch.setattr(snapshot, "scan", missing)
    assert look(maildir)[0] == {b"1.a.h": 1, b"2.b.h": 2}


def test_a_sweep_goes_on_past_a_file_that_another_writer_has_just_removed(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Maildir(maildir)
    for number in (1, 2, 3):
        assert uidstore.claim(opened.fd, ListFile(number, 7, 1, 1, b"", (), b""))
    listed = files.list_names
    gone = [b"tmp.gone", b"1"]
    monkeypatch.setattr(files, "list_names", lambda *where: [*gone, *listed(*where)])
    uidstore.clean_below(opened.fd, 3)
    assert os.listdir(maildir / "imapuids") == ["3"]


def test_a_slow_writer_that_links_into_a_hole_has_claimed_nothing(maildir: Path) -> None:
    put(maildir, "1.a.h")
    look(maildir)
    opened = Maildir(maildir)
    slow = ListFile(2, 7, 3, 3, b"00000000", ((2, b"9.slow.h"),), b"")
    fast = ListFile(5, 7, 9, 9, b"", ((1, b"1.a.h"), (8, b"2.b.h")), b"")
    assert uidstore.claim(opened.fd, fast)
    uidstore.clean_below(opened.fd, 5)
    assert not uidstore.claim(opened.fd, slow)
    assert uidstore.read_list(opened.fd).uids == {b"1.a.h": 1, b"2.b.h": 8}


def test_uids_are_not_reused_when_the_last_message_goes(maildir: Path) -> None:
    put(maildir, "1.a.h", "2.b.h", folder="cur")
    look(maildir)
    (maildir / "cur" / "2.b.h").unlink()
    look(maildir)
    put(maildir, "3.c.h")
    assert look(maildir)[0] == {b"1.a.h": 1, b"3.c.h": 3}


def test_courier_list_is_taken_over(maildir: Path) -> None:
    put(maildir, "1.a.h,S=12:2,S", "2.b.h,S=12:2,", folder="cur")
    put(maildir, "3.c.h")
    (maildir / "courierimapuiddb").write_bytes(b"1 795349142 9\n4 1.a.h,S=12\n7 2.b.h,S=12\nrusak\n")
    uids, validity, recent = look(maildir)
    assert validity == 795349142
    assert uids == {b"1.a.h,S=12": 4, b"2.b.h,S=12": 7, b"3.c.h": 9}
    assert recent == {9}


@pytest.mark.parametrize("content", [b"", b"2 1 1\n", b"1 x 1\n", b"1 0 5\n", b"\xff" * 100])
def test_what_is_no_courier_list_is_left_alone(content: bytes) -> None:
    assert parse_courier(content) is None


def test_a_damaged_list_means_a_new_uidvalidity_never_an_old_uid_for_a_new_message(maildir: Path) -> None:
    put(maildir, "1.a.h", folder="cur")
    _, validity, _ = look(maildir)
    for path in (maildir / "imapuids").iterdir():
        path.write_bytes(path.read_bytes()[:-5])
    uids, now, _ = look(maildir)
    assert list(uids) == [b"1.a.h"]
    assert now > validity
    assert look(maildir)[:2] == (uids, now)


def test_a_damaged_last_increment_means_a_new_uidvalidity_too(maildir: Path) -> None:
    put(maildir, "1.a.h", folder="cur")
    _, validity, _ = look(maildir)
    put(maildir, "2.b.h", folder="cur")
    look(maildir)
    last = max((maildir / "imapuids").iterdir(), key=lambda path: int(path.name))
    last.write_bytes(b"rusak")
    uids, now, _ = look(maildir)
    assert len(uids) == 2
    assert now > validity


def test_a_list_file_cut_short_is_not_believed() -> None:
    content = render_file(ListFile(1, 2, 3, 1, b"", ((1, b"a b"), (2, b"c")), b""))
    assert parse_file(content).entries == ((1, b"a b"), (2, b"c"))
    for cut in range(len(content)):
        with pytest.raises(InvalidList):
            parse_file(content[:cut])


def test_uidvalidity_differs_when_a_folder_is_made_again_at_once(maildir: Path) -> None:
    opened = Maildir(maildir)
    seen = set()
    for _ in range(3):
        directory = opened.create(b"INBOX.a")
        seen.add(look(maildir, directory=directory)[1])
        opened.delete(b"INBOX.a")
    assert len(seen) == 3


def test_on_a_full_disk_numbered_mail_stays_readable_and_the_rest_waits(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h", folder="cur")
    look(maildir)
    put(maildir, "2.b.h")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert look(maildir)[0] == {b"1.a.h": 1}
    assert look(maildir)[0] == {b"1.a.h": 1, b"2.b.h": 2}


NOT_STORED = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES]


def refusing(patch: pytest.MonkeyPatch, number: int) -> None:
    """Nothing that is new can be written any more."""

    def open_(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *more, **options)

    def no(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    real = os.open
    patch.setattr(os, "open", open_)
    patch.setattr(os, "mkdir", no)


@pytest.mark.parametrize("number", NOT_STORED)
def test_a_mailbox_that_was_never_numbered_can_be_read_without_a_list(
    maildir: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    put(maildir, "2.b.h", "1.a.h", folder="cur")
    opened = Maildir(maildir)
    with monkeypatch.context() as patch:
        refusing(patch, number)
        first, second = (opened.open(b"", read_only=False) for _ in range(2))
        first.refresh()
        assert [message.base for message in first.messages.values()] == [b"1.a.h", b"2.b.h"]
        assert not first.sticky
        os.unlink(maildir / "cur" / "1.a.h")
        put(maildir, "3.c.h", folder="cur")
        second.refresh()
        assert {m.uid: m.base for m in second.messages.values()} == {2: b"2.b.h", 3: b"3.c.h"}, "one list for both"
        assert second.validity == first.validity
        first.touched()
        first.refresh()
        assert first.messages.keys() == second.messages.keys()
        assert first.next_uid == second.next_uid == 4
        assert os.listdir(maildir / "cur") and not (maildir / "imapuids").exists()
    assert opened.troubles.take()
    uids, validity, _ = look(maildir)
    assert uids == {b"2.b.h": 1, b"3.c.h": 2}
    assert validity > first.validity, "other UIDs are of another UIDVALIDITY, however soon they come"


def test_what_only_passes_is_never_the_uidvalidity_of_a_stored_list(maildir: Path) -> None:
    fd = os.open(maildir, os.O_RDONLY)
    for _ in range(20):
        passing = passing_validity(fd)
        assert next_validity(fd) > passing
    os.close(fd)


def test_where_nothing_numbered_is_left_new_mail_is_shown_on_a_full_disk_too(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h", folder="cur")
    look(maildir)
    os.unlink(maildir / "cur" / "1.a.h")
    put(maildir, "2.b.h")
    with monkeypatch.context() as patch:
        refusing(patch, errno.ENOSPC)
        uids, validity, recent = look(maildir)
    assert (uids, recent) == ({b"2.b.h": 1}, {1})
    assert validity != look(maildir)[1]
    assert look(maildir)[0] == {b"2.b.h": 2}


def test_couriers_list_serves_on_a_full_disk_as_it_is(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(maildir, "1.a.h", "2.b.h", folder="cur")
    (maildir / "courierimapuiddb").write_bytes(b"1 1111111111 8\n7 2.b.h\n")
    with monkeypatch.context() as patch:
        refusing(patch, errno.ENOSPC)
        assert look(maildir)[:2] == ({b"2.b.h": 7}, 1111111111)
    assert look(maildir)[:2] == ({b"1.a.h": 8, b"2.b.h": 7}, 1111111111)


def test_a_session_keeps_its_uids_when_the_disk_fills_up_meanwhile(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h", folder="cur")
    mailbox = Maildir(maildir).open(b"", read_only=False)
    mailbox.refresh()
    put(maildir, "2.b.h")
    with monkeypatch.context() as patch:
        refusing(patch, errno.ENOSPC)
        os.unlink(maildir / "cur" / "1.a.h")
        mailbox.touched()
        mailbox.refresh()
        assert mailbox.sticky and not mailbox.messages
    mailbox.refresh()
    assert {m.base: m.uid for m in mailbox.messages.values()} == {b"2.b.h": 2}


def test_a_prepared_list_that_was_swept_while_its_writer_stood_still_is_made_again(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, "1.a.h", folder="cur")
    link = os.link
    swept: list[object] = []

    def swept_before(path: bytes, *more: Any, **options: Any) -> None:
        if not swept:
            swept.append(path)
            os.unlink(path, dir_fd=options["src_dir_fd"])
        link(path, *more, **options)

    monkeypatch.setattr(os, "link", swept_before)
    assert look(maildir)[0] == {b"1.a.h": 1}
    assert swept


def test_examine_and_status_take_nothing_from_recent(maildir: Path) -> None:
    put(maildir, "1.a.h")
    assert look(maildir, read_only=True)[2] == {1}
    assert look(maildir, read_only=True)[2] == {1}
    assert look(maildir)[2] == {1}
    assert look(maildir)[2] == set()
    assert [path.name for path in (maildir / "cur").iterdir()] == ["1.a.h:2,"]


def test_a_folder_that_is_gone_is_not_taken_for_a_new_one(maildir: Path) -> None:
    opened = Maildir(maildir)
    directory = opened.create(b"INBOX.a")
    mailbox = Mailbox(opened.fd, directory, read_only=False)
    mailbox.refresh()
    opened.delete(b"INBOX.a")
    opened.create(b"INBOX.a")
    mailbox.touched()
    with pytest.raises(FileNotFoundError):
        mailbox.refresh()


def test_names_that_no_folder_can_have(maildir: Path) -> None:
    opened = Maildir(maildir)
    for name in (b"Luar", b"INBOX.a/b", b"INBOX..b", b"INBOX.", b"INBOX.&AO-", b"INBOX.\x01", b"INBOX." + b"x" * 300):
        with pytest.raises(StoreError):
            opened.create(name)
    assert set(opened.folders()) == {b"INBOX"}


def test_names_lie_in_utf8_and_old_ones_in_modified_utf7_are_found(maildir: Path) -> None:
    opened = Maildir(maildir)
    assert opened.create(b"INBOX.Surat &AOk-") == ".Surat é".encode()
    for part in ("cur", "new", "tmp"):
        (maildir / ".Lama &AOk-" / part).mkdir(parents=True)
    assert opened.directory_of(b"INBOX.Lama &AOk-") == b".Lama &AOk-"
    for name in (b"INBOX.a&-b", b"INBOX.&-AOk-", b"INBOX.x &-&AOk-"):
        directory = opened.create(name)
        assert opened.folders()[name] == directory
    assert frozenset() == NONE
