"""A restore with a tool that leaves empty directories out: the folder and the INBOX are there as before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.cases.conftest import NAME, Case
from tests.support.mail_run import MailRun, mail_run


def test_a_folder_without_new_and_tmp_is_listed_and_opened(case: Case) -> None:
    folder = case.maildir / ".Restored"
    (folder / "cur").mkdir(parents=True)
    (folder / "cur" / "1700000000.x.host:2,S").write_bytes(b"Subject: restored\n\nx\n")
    for path in (folder, folder / "cur", folder / "cur" / "1700000000.x.host:2,S"):
        case.own(path, 0o700 if path.is_dir() else 0o600)
    try:
        with case.imap(b"") as session:
            assert b"INBOX.Restored" in session.imap(b'LIST "" "INBOX.Restored"')
            assert b"* 1 EXISTS" in session.imap(b"SELECT INBOX.Restored")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def restored() -> Iterator[MailRun]:
    """A deployment of its own: the account's mailbox as a restore left it."""
    with mail_run() as mail:
        mail.start()
        mail.useradd(NAME)
        for part in ("new", "tmp"):
            (mail.maildir(NAME) / part).rmdir()
        yield mail


def test_mail_is_delivered_into_an_inbox_without_new_and_tmp_and_read_there(restored: MailRun) -> None:
    case = Case(restored)
    with case.pop3() as pop3:
        assert pop3.pop3(b"STAT") == b"+OK 0 0\r\n"
    for part in ("new", "tmp"):
        (case.maildir / part).rmdir()
    assert restored.send(1, f"{NAME}@xeris.com") == 250
    restored.drained()
    with case.imap() as session:
        assert b"* 1 FETCH" in session.imap(b"FETCH 1 FLAGS")


def test_an_inbox_without_cur_stays_a_deferral_and_no_empty_mailbox(restored: MailRun) -> None:
    """An unmounted home looks so."""
    case = Case(restored)
    for part in case.maildir.iterdir():
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    with case.talk("pop3") as pop3:
        pop3.pop3(b"USER " + NAME.encode())
        assert pop3.pop3(f"PASS {NAME}pass".encode()).startswith(b"-ERR [SYS/TEMP]")
    with case.talk("imap") as session:
        session.imap(f"LOGIN {NAME} {NAME}pass".encode())
        assert b"a NO [UNAVAILABLE]" in session.imap(b"SELECT INBOX")
    assert restored.send(1, f"{NAME}@xeris.com") == 250
    restored.logged("deferral: ")
    assert list(case.maildir.iterdir()) == []
