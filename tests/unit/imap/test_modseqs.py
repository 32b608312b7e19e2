"""Mod-sequences: they rise with every change, and stay what they are through crashes and other processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.imap.flags import NONE
from services.imap.store import modseqs
from services.imap.store.message import Message
from services.imap.store.modlog import FIRST, ModLog, render_batch, render_head, start_log
from services.imap.store.modseqs import ModSeqs
from tests.support.imap_door import Deployment, Raw
from tests.unit.imap.test_extensions import THREE, selected


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "tmp").mkdir()
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def messages(**flags: bytes) -> dict[int, Message]:
    return {
        int(uid[1:]): Message(int(uid[1:]), uid.encode(), b"cur/x", letters, NONE) for uid, letters in flags.items()
    }


def test_a_log_is_what_its_whole_batches_say() -> None:
    content = render_head(7, FIRST) + render_batch(2, {1: 5, 2: 6}, ()) + render_batch(3, {2: 9}, (1,))
    log = start_log(content)
    assert (log.validity, log.highest, log.of, log.gone) == (7, 3, {2: (3, 9)}, [(3, (1,))])
    for cut in range(len(content)):
        part = start_log(content[:cut])
        assert part.length <= cut and part.highest in (FIRST, 2)
        assert content.startswith(content[: part.length])
    assert start_log(b"something else\n") == ModLog()
    torn = content.replace(b"2 00000009", b"2 00000008")
    assert start_log(torn).highest == 2, "a batch whose sum does not fit ends the log"


def test_changes_of_anybody_get_the_next_modseq(folder: int, tmp_path: Path) -> None:
    one = ModSeqs(folder)
    assert not one.begun()
    one.update(7, messages(m1=b"", m2=b"S"), None)
    assert one.begun() and (one.highest, one.of(1), one.of(2)) == (2, 2, 2)
    one.update(7, messages(m1=b"F", m2=b"S"), {1})
    assert (one.highest, one.of(1), one.of(2)) == (3, 3, 2)
    other = ModSeqs(folder)
    other.update(7, messages(m1=b"F"), None)
    assert (other.highest, other.gone_since(3), other.gone_since(4)) == (4, [2], [])
    one.update(7, messages(m1=b"F"), {2})
    assert one.highest == 4, "another process has seen it already"


def test_what_was_torn_by_a_crash_is_cut_off(folder: int, tmp_path: Path) -> None:
    one = ModSeqs(folder)
    one.update(7, messages(m1=b""), None)
    path = tmp_path / modseqs.FILE.decode()
    whole = path.read_bytes()
    path.write_bytes(whole + b"1 0000")
    again = ModSeqs(folder)
    again.update(7, messages(m1=b"S"), None)
    assert again.highest == 3 and path.read_bytes().startswith(whole)
    assert start_log(path.read_bytes()).highest == 3


def test_a_new_uidvalidity_does_not_lower_it(folder: int) -> None:
    one = ModSeqs(folder)
    one.update(7, messages(m1=b"", m2=b""), None)
    one.update(8, messages(m1=b"S"), None)
    assert (one.highest, one.of(1)) == (3, 3)
    assert one.gone_since(1) is None, "what went under the old UIDVALIDITY is nobody's to ask"


def test_the_log_is_bounded(folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modseqs, "MAX_GONE", 5)
    monkeypatch.setattr(modseqs, "_DEAD_LINES", 20)
    one = ModSeqs(folder)
    for uid in range(1, 60):
        one.update(7, messages(**{f"m{uid}": b""}), None)
    assert one.highest == 60 and (tmp_path / "imapmodseq").read_bytes().count(b"\n") < 60
    again = ModSeqs(folder)
    again.update(7, messages(m59=b""), None)
    assert again.highest == 60 and again.of(59) == 60 and again.gone_since(1) is None
    assert again.gone_since(59) == [58]


def test_a_client_is_told_modseqs(deployment: Deployment) -> None:
    client = selected(deployment, *THREE)
    other = deployment.raw().login()
    assert b"* OK [HIGHESTMODSEQ 2] Highest." in client.answers(b"ENABLE CONDSTORE")
    other.answers(b"SELECT INBOX")
    other.answers(b"STORE 2 +FLAGS (\\Flagged)")
    assert b"* 2 FETCH (FLAGS (\\Flagged) MODSEQ (3))" in client.answers(b"NOOP")
    assert client.answers(b"FETCH 1:* (UID) (CHANGEDSINCE 2)")[0] == b"* 2 FETCH (UID 2 MODSEQ (3))"
    refused = client.answers(b"STORE 1:2 (UNCHANGEDSINCE 2) +FLAGS.SILENT (\\Seen)")
    assert refused == [b"* 1 FETCH (MODSEQ (4))", b"OK [MODIFIED 2] STORE completed."]
    assert client.answers(b"SEARCH MODSEQ 3")[0] == b"* SEARCH 1 2 (MODSEQ 4)"
    assert client.answers(b'SEARCH MODSEQ "/flags/\\\\Seen" all 4')[0] == b"* SEARCH 1 (MODSEQ 4)"
    found = client.answers(b"SEARCH RETURN (MIN COUNT) MODSEQ 1")[0]
    assert found == b'* ESEARCH (TAG "x") MIN 1 COUNT 3 MODSEQ 4'
    assert client.answers(b"STATUS INBOX (HIGHESTMODSEQ)")[0] == b'* STATUS "INBOX" (HIGHESTMODSEQ 4)'
    assert client.answers(b"FETCH 3 (FLAGS) (CHANGEDSINCE 9)") == [b"OK FETCH completed."]


def resynced(client: Raw, arguments: bytes) -> list[bytes]:
    lines = client.answers(b"SELECT INBOX (QRESYNC (" + arguments + b"))")
    assert lines[-1].startswith(b"OK"), lines
    return [line for line in lines if b"VANISHED" in line or b"FETCH" in line]


def test_a_client_that_was_away_is_brought_up_to_date(deployment: Deployment) -> None:
    client = selected(deployment, *THREE)
    assert client.answers(b"SELECT INBOX (QRESYNC (1 1))")[-1].startswith(b"BAD")
    client.answers(b"ENABLE QRESYNC")
    answer = client.answers(b"SELECT INBOX")
    assert b"* OK [CLOSED] Previous mailbox closed." in answer
    validity = next(line for line in answer if b"UIDVALIDITY" in line).split()[3].rstrip(b"]")
    client.answers(b"UNSELECT")
    other = deployment.raw().login()
    other.answers(b"SELECT INBOX")
    other.answers(b"STORE 1 +FLAGS (\\Deleted)")
    other.answers(b"EXPUNGE")
    other.answers(b"STORE 2 +FLAGS (\\Seen)")
    told = [b"* VANISHED (EARLIER) 1", b"* 2 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (3))"]
    assert resynced(client, validity + b" 2") == told
    assert resynced(client, validity + b" 2 2:3 (1:2 2:3)") == told[1:]
    assert resynced(client, b"1 2") == []
    assert resynced(client, validity + b" 3") == []
    assert client.answers(b"UID FETCH 1:* (UID) (CHANGEDSINCE 2 VANISHED)")[:-1] == [
        told[0],
        b"* 2 FETCH (UID 3 MODSEQ (3))",
    ]
    other.answers(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    other.answers(b"EXPUNGE")
    assert b"* VANISHED 2" in client.answers(b"NOOP")
    client.answers(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    expunged = client.answers(b"EXPUNGE")
    assert b"* VANISHED 3" in expunged and expunged[-1].startswith(b"OK [HIGHESTMODSEQ ")


def test_a_client_that_asks_for_nothing_begins_no_log(deployment: Deployment) -> None:
    client = selected(deployment, *THREE)
    client.answers(b"STORE 1 +FLAGS (\\Seen)")
    assert b"* OK [HIGHESTMODSEQ 1] Highest." in client.answers(b"EXAMINE INBOX")
    assert not (deployment.maildir / "imapmodseq").exists()
