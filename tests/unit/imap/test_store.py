"""Keywords, cache, view and copying, each by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.imap.flags import MAX_KEYWORDS, NONE, FlagSet, canonical, changed, parse_flags, render_flags
from services.imap.mailbox.view import View
from services.imap.store import files
from services.imap.store.cache import ENVELOPE, SIZE, MailboxCache, cached_accounts, open_cache, sweep_cache
from services.imap.store.errors import BadFlag
from services.imap.store.keywords import merge, merge_due, parse_list, read_keywords, render_list, write_keywords
from services.imap.store.message import Message


@pytest.fixture
def folder(tmp_path: Path) -> int:
    for part in ("cur", "new", "tmp"):
        (tmp_path / part).mkdir()
    return os.open(tmp_path, os.O_RDONLY)


def message(uid: int, flags: bytes = b"", words: frozenset[bytes] = NONE) -> Message:
    return Message(uid, b"%d" % uid, b"cur/%d" % uid, flags, words)


def test_couriers_list_is_read_and_written() -> None:
    text = b"Baru\nKerja\n$Forwarded\n\n1.h,S=51:1\n2.h,S=51:2 0\n"
    table = parse_list(text)
    assert table.of == {b"1.h,S=51": {b"Kerja"}, b"2.h,S=51": {b"$Forwarded", b"Baru"}}
    assert parse_list(render_list(table, table.of)).of == table.of
    assert b"1.h" not in render_list(table, [b"2.h,S=51"])


def test_merging_loses_no_change_made_before_or_after(folder: int, tmp_path: Path) -> None:
    for number in range(60):
        write_keywords(folder, b"%d.h" % number, frozenset((b"k%d" % (number % 7),)))
    table = read_keywords(folder)
    assert table.changes == 60
    write_keywords(folder, b"3.h", frozenset((b"sesudah",)))
    merge(folder, table, table.of)
    again = read_keywords(folder)
    assert again.of[b"3.h"] == {b"sesudah"}
    assert {base: words for base, words in again.of.items() if base != b"3.h"} == {
        base: words for base, words in table.of.items() if base != b"3.h"
    }
    merge(folder, again, again.of)
    for path in (tmp_path / "courierimapkeywords").iterdir():
        if path.name.startswith("."):
            path.unlink()
    assert read_keywords(folder).of == again.of


def test_changes_are_merged_once_and_what_was_merged_is_swept_when_it_has_expired(
    folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000
    monkeypatch.setattr(time, "time", lambda: now)
    for number in range(60):
        write_keywords(folder, b"%d.h" % number, frozenset((b"Kerja",)))
    table = read_keywords(folder)
    assert merge_due(table)
    merge(folder, table, table.of)
    now += 600
    write_keywords(folder, b"1.h", frozenset((b"sesudah",)))
    assert not merge_due(read_keywords(folder)), "nothing to be done but to wait"
    assert len(os.listdir(tmp_path / "courierimapkeywords")) == 62
    now += 900
    again = read_keywords(folder)
    assert merge_due(again)
    merge(folder, again, again.of)
    now += 60
    assert read_keywords(folder).of == again.of
    assert not merge_due(read_keywords(folder))
    assert len(os.listdir(tmp_path / "courierimapkeywords")) == 2


def test_a_change_whose_list_a_slow_reader_replaced_by_an_older_one_outlives_its_expiry(
    folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000
    monkeypatch.setattr(time, "time", lambda: now)
    older = read_keywords(folder)
    write_keywords(folder, b"1.h", frozenset((b"Kerja",)))
    table = read_keywords(folder)
    merge(folder, table, table.of)
    merge(folder, older, [b"1.h"])
    for _ in range(4):
        now += 900
        table = read_keywords(folder)
        assert table.of == {b"1.h": {b"Kerja"}}
        if merge_due(table):
            merge(folder, table, table.of)
    assert not read_keywords(folder).expired


def test_a_change_that_is_merged_while_the_folder_is_read_is_not_read_as_no_keywords(
    folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write_keywords(folder, b"%d.h" % number, frozenset((b"Kerja",)))
    table = read_keywords(folder)
    read = files.read_all
    merged: list[object] = []

    def merged_after_the_list_was_read(parent: int, name: bytes) -> bytes:
        try:
            return read(parent, name)
        finally:
            if name.endswith(b":list") and not merged:
                merged.append(name)
                merge(folder, table, table.of)

    monkeypatch.setattr(files, "read_all", merged_after_the_list_was_read)
    seen = read_keywords(folder)
    assert merged
    assert seen.of == table.of
    assert seen.names == [b"Kerja"]


@pytest.mark.parametrize("content", [b"", b"\n", b"a\n\nx", b"a\n\nx:9 z", b"\xff\n\n:0\n" * 50])
def test_a_damaged_keyword_list_raises_nothing(content: bytes) -> None:
    parse_list(content)


def test_flags() -> None:
    given = parse_flags((b"\\seen", b"\\Recent", b"Kerja"))
    assert given == FlagSet(b"S", frozenset((b"Kerja",)))
    for bad in (b"\\Rusak", b"x" * 300, b"a/b", b"a:b"):
        with pytest.raises(BadFlag):
            parse_flags((bad,))
    assert canonical(frozenset((b"KERJA",)), [b"Kerja"]) == {b"Kerja"}
    with pytest.raises(BadFlag):
        canonical(frozenset((b"baru",)), [b"k%d" % number for number in range(MAX_KEYWORDS)])
    assert changed(b"PS", NONE, b"", FlagSet(b"F", NONE)) == (b"FP", NONE), "letters of others are kept"
    assert changed(b"FS", given.keywords, b"-", given) == (b"F", NONE)
    assert render_flags(b"FS", frozenset((b"b", b"a")), recent=True) == b"(\\Flagged \\Seen a b \\Recent)"


def test_view_keeps_numbers_until_expunges_may_be_told() -> None:
    view = View()
    first = {uid: message(uid) for uid in (3, 5, 9)}
    changes = view.update(first, {9}, expunge=True)
    assert (changes.exists, changes.recent) == (3, 1)
    later = {3: message(3, b"S"), 9: message(9), 12: message(12)}
    changes = view.update(later, {9}, expunge=False)
    assert (changes.expunged, changes.exists, changes.flags) == ((), 4, (3,))
    assert view.number(12) == 4
    changes = view.update({12: message(12)}, {9}, expunge=True)
    assert changes.expunged == (3, 2, 1)
    assert view.uids == [12]
    assert view.update({4: message(4), 12: message(12)}, set(), expunge=True).exists is None, (
        "never below what was told"
    )


@pytest.fixture
def maildir(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "Maildir").mkdir()
    fd = os.open(tmp_path / "Maildir", os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def test_cache_remembers_across_openings_and_survives_damage(volume: Path, maildir: int) -> None:
    cache = open_cache(volume, maildir, b"", 7)
    cache.put(SIZE, 1, b"43")
    cache.put(ENVELOPE, 1, b"(NIL)")
    cache.put(ENVELOPE, 900, b"")
    cache.close()
    again = open_cache(volume, maildir, b"", 7)
    assert (again.get(SIZE, 1), again.get(ENVELOPE, 1), again.get(SIZE, 2)) == (b"43", b"(NIL)", None)
    assert again.many(ENVELOPE, (900, 5, 1)) == [b"", None, b"(NIL)"]
    assert open_cache(volume, maildir, b"", 8).get(SIZE, 1) is None
    assert open_cache(volume, maildir, b".a", 7).get(SIZE, 1) is None
    path = next(path for path in volume.glob("*/*") if path.stat().st_size > 30)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        damaged = open_cache(volume, maildir, b"", 7)
        assert damaged.get(SIZE, 1) in (None, b"43")
        assert damaged.get(ENVELOPE, 1) in (None, b"(NIL)")
        damaged.put(SIZE, 2, b"5")
        damaged.close()


def test_sessions_and_processes_see_what_others_have_computed(volume: Path, maildir: int) -> None:
    one, two = open_cache(volume, maildir, b"", 7), open_cache(volume, maildir, b"", 7)
    for uid in range(1, 1200):
        one.put(ENVELOPE, uid, b"%d" % uid)
        two.put(SIZE, uid, b"%d" % (uid * 2))
    one.flush()
    two.flush()
    for cache in (two, open_cache(volume, maildir, b"", 7)):
        assert cache.many(ENVELOPE, range(1, 1200)) == [b"%d" % uid for uid in range(1, 1200)]
        assert cache.many(SIZE, range(1, 1200)) == [b"%d" % (uid * 2) for uid in range(1, 1200)]


def test_cache_is_bounded_and_swept(volume: Path, maildir: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.imap.store.cache.MAX_FILE_BYTES", 10_000)
    cache = open_cache(volume, maildir, b"", 1)
    for uid in range(1000):
        cache.put(ENVELOPE, uid, b"x" * 100)
        cache.flush()
    assert cache.get(ENVELOPE, 999) == b"x" * 100
    for number in range(100):
        cache.put(b"F%d" % number, 1, b"y")
    assert sum(cache.get(b"F%d" % number, 1) is not None for number in range(100)) < 50, "clients choose their fields"
    cache.flush()
    assert sum(path.stat().st_size for path in volume.glob("*/*")) <= 10_000
    cache.close()
    old = volume / "0a" / ("b" * 62)
    old.parent.mkdir()
    old.write_bytes(b"of an older release")
    accounts = cached_accounts(volume)
    assert not old.exists()
    assert [(account.uid, account.home) for account in accounts] == [(os.getuid(), volume / str(os.getuid()))]
    became: list[int] = []
    sweep_cache(lambda account: became.append(account.uid), accounts, 100)
    assert not list(volume.glob("*/*"))
    assert set(became) == {os.getuid()}


def test_without_a_volume_nothing_is_remembered_and_nothing_fails(tmp_path: Path, maildir: int) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = open_cache(tmp_path / "file", maildir, b"", 1)
    cache.put(SIZE, 1, b"1")
    cache.flush()
    assert cache.get(SIZE, 1) is None
    assert MailboxCache().get(SIZE, 1) is None
    cache.close()


@pytest.mark.root(reason="a directory of somebody else")
def test_a_directory_of_somebody_else_is_not_used(volume: Path, maildir: int) -> None:
    (volume / str(os.getuid())).mkdir()
    os.chown(volume / str(os.getuid()), 2001, 2001)
    cache = open_cache(volume, maildir, b"", 1)
    cache.put(SIZE, 1, b"1")
    cache.flush()
    assert cache.get(SIZE, 1) is None
