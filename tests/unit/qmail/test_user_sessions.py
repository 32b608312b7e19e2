"""How many sessions an account may have from one address."""

from __future__ import annotations

from pathlib import Path

from qmail.accounts.assign import Account
from qmail.control.files import Control
from qmail.control.table import CONCURRENCYPERUSERIP
from qmail.door.user_sessions import UserSessions

DEFAULT_SESSIONS = CONCURRENCYPERUSERIP.default
ARI = Account(b"ari", 2001, 2001, Path("/home/ari"))
JONI = Account(b"joni", 2002, 2002, Path("/home/joni"))


def test_an_account_has_its_sessions_from_each_address_and_takes_nobody_else_s(tmp_path: Path) -> None:
    sessions = UserSessions(Control(tmp_path))
    assert [sessions.begin(ARI, "192.0.2.1") for _ in range(DEFAULT_SESSIONS)] == [True] * DEFAULT_SESSIONS
    assert not sessions.begin(ARI, "192.0.2.1")
    assert sessions.begin(ARI, "192.0.2.2")
    assert sessions.begin(JONI, "192.0.2.1")
    sessions.end(ARI, "192.0.2.1")
    assert sessions.begin(ARI, "192.0.2.1")
    assert not sessions.begin(ARI, "192.0.2.1")


def test_the_control_file_counts_at_the_next_log_in_and_a_bad_one_leaves_the_old_value(tmp_path: Path) -> None:
    sessions = UserSessions(Control(tmp_path))
    (tmp_path / "concurrencyperuserip").write_text("2\n")
    assert [sessions.begin(ARI, "192.0.2.1") for _ in range(3)] == [True, True, False]
    (tmp_path / "concurrencyperuserip").write_text("9" * 99)
    assert not sessions.begin(ARI, "192.0.2.1")
    (tmp_path / "concurrencyperuserip").unlink()
    assert sessions.begin(ARI, "192.0.2.1")
