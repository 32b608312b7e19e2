"""What is remembered of a maildrop and read before it is asked for, and when it must not be."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from qmail.maildir import reader
from services.pop3 import mailbox
from services.pop3.ahead import Ahead
from services.pop3.drops import MAX_MESSAGES, Drop, Drops
from services.pop3.requests import Message
from tests.support.deployment import eventually


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    return tmp_path / "Maildir"


def put(maildir: Path, number: int, octets: bytes = b"Subject: x\n\nbody\n", folder: str = "cur") -> None:
    path = maildir / folder / f"{number}.a.h{':2,S' if folder == 'cur' else ''}"
    path.write_bytes(octets)
    os.utime(path, (number, number))


def let_stand(maildir: Path) -> None:
    """Until the last change is old enough for the kernel's clock to tell it from the next."""

    def stands() -> bool:
        return max(os.stat(maildir / part).st_ctime_ns for part in ("new", "cur")) < time.time_ns() - 40_000_000

    eventually(stands, "the clock goes on")


def seen(maildir: Path, drops: Drops) -> list[bytes]:
    return [message.name for message in mailbox.open_mailbox(maildir, None, drops, classic=False)]


def test_an_unchanged_drop_is_not_read_and_a_changed_one_is_seen(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(maildir, 1)
    put(maildir, 2)
    drops = Drops()
    let_stand(maildir)
    seen(maildir, drops)
    scans = [0]

    def counted(*arguments: object) -> object:
        scans[0] += 1
        return reader.scan(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(mailbox, "scan", counted)
    assert seen(maildir, drops) == [b"1.a.h:2,S", b"2.a.h:2,S"]
    assert scans[0] == 0
    put(maildir, 3, b"longer", folder="new")
    assert seen(maildir, drops) == [b"1.a.h:2,S", b"2.a.h:2,S", b"3.a.h"]
    (maildir / "cur" / "1.a.h:2,S").rename(maildir / "cur" / "1.a.h:2,")
    assert seen(maildir, drops) == [b"1.a.h:2,", b"2.a.h:2,S", b"3.a.h"]
    (maildir / "cur" / "2.a.h:2,S").unlink()
    put(maildir, 4, b"the longest of all")
    messages = mailbox.open_mailbox(maildir, None, drops, classic=False)
    assert [(message.base, message.size_bytes) for message in messages] == [
        (b"1.a.h", 17),
        (b"3.a.h", 6),
        (b"4.a.h", 18),
    ]


def test_who_may_not_read_it_any_more_is_refused_though_it_is_remembered(maildir: Path) -> None:
    put(maildir, 1)
    drops = Drops()
    let_stand(maildir)
    seen(maildir, drops)
    (maildir / "cur").rename(maildir / "elsewhere")
    with pytest.raises(mailbox.MailboxError):
        seen(maildir, drops)


def test_drops_are_bounded() -> None:
    drops = Drops()
    drop = Drop((1,), True, tuple(Message(b"%d" % n, b"%d" % n, False, 1) for n in range(MAX_MESSAGES // 4)))
    for number in range(10):
        drops.put((0, number, 0), drop)
    assert [bool(drops.get((0, number, 0)).messages) for number in range(10)] == [False] * 6 + [True] * 4


def test_a_client_that_goes_in_order_is_read_for_ahead_and_no_other(maildir: Path) -> None:
    for number in range(1, 60):
        put(maildir, number, b"%d\n" % number * 1000)
    messages = mailbox.open_mailbox(maildir, None, classic=False)
    ahead = Ahead(messages)
    handed_over = 0
    for message in messages:
        octets = ahead.take(message)
        if octets is None:
            handed_over += 1
            descriptor, octets, read = mailbox.read_messages(maildir, message, ahead.following(message))
            assert descriptor == -1
            ahead.keep(read)
        assert octets == b"%d\n" % int(message.name.split(b".")[0]) * 1000
    assert handed_over < 10
    to_and_fro = Ahead(messages)
    for number in (5, 3, 40, 2, 30):
        assert to_and_fro.take(messages[number]) is None
        assert to_and_fro.following(messages[number]) == ()


def test_what_is_large_or_gone_ends_the_reading_ahead(maildir: Path) -> None:
    for number, octets in enumerate((b"a\n", b"b\n", b"c\n", b"d\n" * 100_000, b"e\n"), 1):
        put(maildir, number, octets)
    messages = mailbox.open_mailbox(maildir, None, classic=False)
    _, piece, read = mailbox.read_messages(maildir, messages[0], messages[1:])
    assert (piece, list(read.values())) == (b"a\n", [b"b\n", b"c\n"])
    (maildir / "cur" / "2.a.h:2,S").unlink()
    assert mailbox.read_messages(maildir, messages[0], messages[1:])[2] == {}
    descriptor, piece, read = mailbox.read_messages(maildir, messages[3], messages[4:])
    assert descriptor >= 0 and len(piece) == mailbox.READ_BYTES and read == {}
    os.close(descriptor)
