"""What counts as lost, what is named of it, and until when it stands."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from services.admin.bus.blocks import header_fields, left_out, read_block
from services.admin.bus.highwayhash import highwayhash
from services.admin.bus.losses import LOSSES, Losses
from services.admin.bus.marks import Mark, mark_of, ranges_of, read_mark, render_ranges, replaced, went_back, without
from services.admin.bus.store import BEFORE, STREAMS, Store
from services.admin.install import Installer

NAME, BLOCK = "IN", 1


GONE = 1 << 62


def stored(sequence: int, payload: bytes = b"text", headers: bytes = b"", subject: bytes = b"") -> bytes:
    """A record as nats-server writes it."""
    subject = subject or (b"" if sequence & GONE else b"in.%d" % (1000 + sequence))
    middle = struct.pack("<I", len(headers)) + headers if headers else b""
    length = 22 + len(subject) + len(middle) + len(payload) + 8
    stamp = struct.pack("<QQ", sequence, 7_000_000)
    key = hashlib.sha256(b"IN-1").digest()
    checksum = highwayhash(key, stamp + subject + headers + payload).to_bytes(8, "little")
    flag = 1 << 31 if headers else 0
    return (
        struct.pack("<I", length | flag)
        + stamp
        + struct.pack("<H", len(subject))
        + subject
        + middle
        + payload
        + checksum
    )


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 15, 16, 17, 31, 32, 33, 64, 100])
def test_the_checksum_of_any_length_depends_on_every_byte(size: int) -> None:
    key, data = bytes(range(32)), bytes(range(size))
    assert len({highwayhash(key, data)} | {highwayhash(key, flipped(data, at)) for at in range(size)}) == size + 1


def test_the_checksums_are_the_published_ones() -> None:
    """Of google/highwayhash, with the key 0 to 31 and the data 0 to n - 1."""
    key = bytes(range(32))
    assert highwayhash(key, b"") == 0x907A56DE22C26E53
    assert highwayhash(key, b"\0") == 0x7EAB43AAC7CDDD78
    assert highwayhash(key, bytes(range(2))) == 0xB8D0569AB0B53D62


def test_a_block_is_read_record_by_record() -> None:
    block = stored(1, b"one", b"NATS/1.0\r\nQmail-Envelope: abc\r\n\r\n") + stored(2, b"two")
    first, second = read_block(block)
    assert (first.sequence, first.subject, first.payload) == (1, "in.1001", b"one")
    assert header_fields(first.headers) == {"Qmail-Envelope": "abc"}
    assert (second.sequence, second.payload, second.headers) == (2, b"two", b"")
    assert first.is_whole(NAME, BLOCK)
    assert second.is_whole(NAME, BLOCK)


def test_a_damaged_record_is_known_and_the_next_is_found_again() -> None:
    whole = [stored(number) for number in (1, 2, 3)]
    in_payload = b"".join([whole[0], flipped(whole[1], len(whole[1]) - 10), whole[2]])
    assert [entry.is_whole(NAME, BLOCK) for entry in read_block(in_payload)] == [True, False, True]
    in_length = b"".join([whole[0], flipped(whole[1], 1), whole[2]])
    assert [entry.sequence for entry in read_block(in_length)] == [1, 3]


def test_what_was_cut_off_is_named_whatever_was_written_since() -> None:
    whole = [stored(number) for number in range(1, 6)]
    before, cut = b"".join(whole), b"".join(whole[:2])
    assert [entry.sequence for entry in left_out(before, cut)] == [3, 4, 5]
    assert [entry.sequence for entry in left_out(before, cut + stored(9, b"new"))] == [3, 4, 5]


def test_what_grew_or_was_removed_one_by_one_is_no_loss() -> None:
    whole = [stored(number) for number in range(1, 6)]
    before = b"".join(whole)
    assert left_out(before, before + stored(6)) == []
    assert left_out(before, whole[0] + whole[2] + whole[4]) == []
    torn = before + stored(6)[:-12]
    assert left_out(torn, before) == []


def test_a_sequence_that_goes_back_is_a_loss_and_a_purge_is_none() -> None:
    before = Mark(10, 50, "t50", 41)
    assert went_back(before, Mark(10, 25, "t25", 16)) == [(26, 50)]
    assert went_back(before, Mark(0, 0, "", 0)) == [(10, 50)]
    assert went_back(before, Mark(51, 50, "t50", 0)) == []
    assert went_back(before, Mark(40, 60, "t60", 21)) == []
    assert went_back(Mark(0, 7, "", 0), Mark(0, 0, "", 0)) == []


def test_another_record_in_the_same_place_is_a_loss() -> None:
    before = Mark(10, 50, "t50", 41)
    assert replaced(before, "t50") == []
    assert replaced(before, "t99") == [(10, 50)]
    assert replaced(before, None) == []


def test_gaps_are_counted_between_first_and_last() -> None:
    assert Mark(10, 50, "", 41).missing == 0
    assert Mark(10, 50, "", 40).missing == 1
    assert Mark(51, 50, "", 0).missing == 0
    state = {"first_seq": 3, "last_seq": 9, "last_ts": "t", "messages": 7, "bytes": 1}
    assert read_mark(mark_of(state).as_dict()) == Mark(3, 9, "t", 7)


def test_ranges_are_joined_cut_and_shown() -> None:
    assert ranges_of([5, 3, 4, 9, 9]) == [(3, 5), (9, 9)]
    assert ranges_of([]) == []
    assert without([(1, 10)], [(3, 4), (10, 12)]) == [(1, 2), (5, 9)]
    assert render_ranges([(3, 5), (9, 9)]) == "3-5, 9"


def test_a_loss_stands_until_it_is_acknowledged_and_is_not_told_twice(tmp_path: Path) -> None:
    losses = Losses(tmp_path, Installer(per_user=False), clock=lambda: 7.0)
    assert losses.open() == []
    first = losses.add("IN", [(26, 50)], ["in.1026"], "/x")
    assert (
        "lost 25 records of IN that it had acknowledged (26-50): in.1026; what is left of them is in /x" in first.text
    )
    assert losses.open() == [first]
    assert losses.acknowledge() == [first]
    assert losses.open() == []
    assert losses.known("IN") == [(26, 50)]
    second = losses.add("IN", [(60, 60)], [], "")
    assert second.number == 2
    assert losses.open() == [second]


def test_a_torn_file_of_losses_stops_nothing(tmp_path: Path) -> None:
    losses = Losses(tmp_path, Installer(per_user=False))
    losses.add("IN", [(1, 1)], [], "")
    (tmp_path / LOSSES).write_bytes(b"")
    assert losses.open() == []
    assert losses.add("IN", [(2, 2)], [], "").number == 1


@pytest.mark.parametrize(
    ("since", "lost"),
    [
        (b"", [3, 4]),
        (stored(GONE | 3), [4]),
        (stored(GONE | 3) + stored(GONE | 4), []),
        (stored(9, subject=b"in.1003"), [4]),
        (stored(9, subject=b"in.1003") + stored(GONE | 4), []),
    ],
    ids=["nothing", "one removed", "both removed", "one overwritten", "one each"],
)
def test_what_a_later_block_says_was_removed_or_overwritten_is_no_loss(
    tmp_path: Path, since: bytes, lost: list[int]
) -> None:
    """A block that the server rewrote without such records at its start looks as if it had been cut off."""
    before, now = tmp_path / BEFORE / "IN" / "msgs", tmp_path / STREAMS / "IN" / "msgs"
    for directory in (before, now):
        directory.mkdir(parents=True)
        (directory / "10.blk").write_bytes(stored(5) + since)
    whole = [stored(number) for number in range(1, 5)]
    (before / "9.blk").write_bytes(b"".join(whole))
    (now / "9.blk").write_bytes(b"".join(whole[:2]))
    assert [entry.sequence for entry in Store(tmp_path).left_out("IN", seen=5)] == lost


@pytest.mark.parametrize(("seen", "lost"), [(2, []), (3, [3])])
def test_an_unfinished_last_record_was_never_acknowledged_unless_it_was_seen(
    tmp_path: Path, seen: int, lost: list[int]
) -> None:
    """The power failed while it was written: its length is there, and not all of its bytes."""
    before, now = tmp_path / BEFORE / "IN" / "msgs", tmp_path / STREAMS / "IN" / "msgs"
    for directory in (before, now):
        directory.mkdir(parents=True)
    whole = stored(1) + stored(2)
    unfinished = stored(3)[:-10] + bytes(10)
    (before / "1.blk").write_bytes(whole + unfinished)
    (now / "1.blk").write_bytes(whole)
    assert [entry.sequence for entry in Store(tmp_path).left_out("IN", seen)] == lost
    (before / "1.blk").write_bytes(whole + stored(3))
    assert [entry.sequence for entry in Store(tmp_path).left_out("IN", seen)] == [3]


def test_only_the_blocks_with_a_lost_record_are_kept(tmp_path: Path) -> None:
    messages = tmp_path / STREAMS / "IN" / "msgs"
    messages.mkdir(parents=True)
    (messages / "1.blk").write_bytes(stored(1) + stored(2))
    (messages / "2.blk").write_bytes(stored(3))
    kept, entries = Store(tmp_path).keep_blocks("IN", [range(3, 4)])
    assert [entry.sequence for entry in entries] == [3]
    assert [path.name for path in (kept / "IN" / "msgs").iterdir()] == ["2.blk"]
