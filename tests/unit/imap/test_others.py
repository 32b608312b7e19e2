"""What a session meets when others change its folder, or something odd lies in it, between two of its steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.imap.answer import Answer
from services.imap.grammar import commands as c
from services.imap.grammar.parse import parse_command
from services.imap.store import snapshot
from services.imap.store.snapshot import File
from services.imap.work import Work


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    return tmp_path / "Maildir"


def put(maildir: Path, *names: str, folder: str = "cur") -> None:
    for name in names:
        (maildir / folder / name).write_bytes(b"Subject: x\n\nbody\n")


def ask(work: Work, text: bytes) -> tuple[bytes, Answer]:
    """A command's untagged lines together, and its Answer."""
    tag, command = parse_command((text,))
    assert isinstance(command, c.Command)
    if not isinstance(command, c.Fetch):
        answer = work.perform(tag, command)
        return b"".join(answer.lines), answer
    data, end = work.fetch(command, first=True)
    while end is None:
        piece, end = work.fetch(command, first=False)
        data += piece
    return data + b"".join(end.lines), end


def selected(maildir: Path) -> Work:
    work = Work(maildir, None)
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
    work = Work(maildir, None)
    assert b"* 1 EXISTS" in ask(work, b"a EXAMINE INBOX")[0]
    assert (maildir / "new" / "1.a.h").exists()
