"""Numbers of more digits than any number has, in files that people write: told by name, no bare ValueError."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.accounts.assign import Accounts, AssignError
from qmail.control.files import Control, ControlError
from qmail.control.table import DATABYTES


def test_control_file(tmp_path: Path) -> None:
    (tmp_path / "databytes").write_text("9" * 5000)
    with pytest.raises(
        ControlError, match="databytes:1: expected a number of bytes, of at most 18 digits, found '9999"
    ):
        Control(tmp_path).get(DATABYTES)
    (tmp_path / "extensions").write_text("none\n")
    with pytest.raises(
        ControlError, match="databytes:1: expected a number of bytes, of at most 18 digits, found '9999"
    ):
        Control(tmp_path).get(DATABYTES)


def test_users_assign(tmp_path: Path) -> None:
    path = tmp_path / "assign"
    path.write_text("=joni:joni:" + "9" * 5000 + ":1:/home/joni:::\n.\n")
    with pytest.raises(AssignError, match="assign:1: expected ids of at most 10 digits"):
        Accounts(path).find(b"joni")
