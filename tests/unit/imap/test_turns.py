"""FETCH and SEARCH are done in turns, so that nobody keeps a thread for long and a client that is gone is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from qmail.accounts.assign import Account
from qmail.door.session import Peer
from services.imap.handler import ImapHandler, Shared
from services.imap.mailbox.mailbox_session import MailboxSession
from services.imap.store.mailbox import Mailbox
from services.imap.store.opened import OpenMessage
from tests.support.imap_commands import perform, request

MESSAGES = 20


@pytest.fixture
def work(tmp_path: Path) -> Iterator[MailboxSession]:
    for part in ("cur", "new", "tmp"):
        (tmp_path / part).mkdir()
    for number in range(MESSAGES):
        (tmp_path / "cur" / f"{number}.a:2,").write_bytes(b"Subject: x\n\nisi\n")
    work = MailboxSession(tmp_path, None)
    perform(work, b"a SELECT INBOX")
    yield work
    work.close()


def test_a_turn_of_a_search_ends_with_its_time(work: MailboxSession, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = request(b"a SEARCH BODY isi")
    assert work.begin(wanted)[1] is not None, "one turn for a short search"
    monkeypatch.setattr("services.imap.mailbox.mailbox_session.TURN_SECONDS", 0.0)
    turns = [work.begin(wanted), *(work.go_on() for _ in range(MESSAGES))]
    assert [data for data, _ in turns] == [b""] * (MESSAGES + 1)
    assert [answer is not None for _, answer in turns] == [False] * MESSAGES + [True]


@pytest.mark.parametrize("text", [b"SEARCH BODY tiada", b"FETCH 1:* RFC822.SIZE"])
def test_nothing_more_is_done_for_a_client_that_is_gone(
    work: MailboxSession, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    monkeypatch.setattr("services.imap.mailbox.mailbox_session.TURN_SECONDS", 0.0)
    looked_into: list[int] = []

    def opened(mailbox: Mailbox, uid: int, *, keep: bool = False) -> OpenMessage:
        looked_into.append(uid)
        return OpenMessage(mailbox, uid, keep=keep)

    monkeypatch.setattr("services.imap.operations.ready.LOOK_SECONDS", 0.0)
    for module in ("candidate", "fetch", "ready"):
        monkeypatch.setattr(f"services.imap.operations.{module}.OpenMessage", opened)
    sends = 0

    async def run(account: Account, do: Callable[..., object], *arguments: object) -> object:
        return do(*arguments)

    async def send(data: bytes) -> None:
        nonlocal sends
        sends += 1
        if sends == 3:
            raise ConnectionResetError("client is gone")

    shared = cast(Shared, SimpleNamespace(pool=SimpleNamespace(run=run)))
    handler = ImapHandler(shared, Peer("192.0.2.1", 1, "192.0.2.2", 143, False), lambda event: None)
    handler._account, handler._mailboxes = Account(b"joni", 2001, 2001, Path("/home/joni")), work
    with pytest.raises(ConnectionResetError):
        asyncio.run(handler.answer(request(b"a " + text), send))
    assert len(looked_into) == 3
