"""An mbox beside which a killed program left its dot-lock: qmail's lock is flock(2), which dies with its holder."""

from __future__ import annotations

from tests.cases.conftest import NAME, Case
from tests.support.deployment import eventually


def test_a_lock_file_left_by_a_killed_program_keeps_no_mail(case: Case) -> None:
    case.dot_qmail("mb", "./Mailbox\n")
    lock = case.home / "Mailbox.lock"
    lock.write_bytes(b"")
    case.own(lock)
    assert case.mail.send(17, f"{NAME}-mb@xeris.com") == 250
    mbox = case.home / "Mailbox"
    eventually(lambda: mbox.exists() and b"X-Number: 17" in mbox.read_bytes(), "the message in the mbox")
