"""Numbers of more digits than any number has, in files that people write: told by name, no bare ValueError."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmail.accounts import Accounts, AssignError
from qmail.control import Control, ControlError


def test_control_file(tmp_path: Path) -> None:
    (tmp_path / "databytes").write_text("9" * 5000)
    with pytest.raises(ControlError, match="databytes: 5000 digits; expected a number"):
        Control(tmp_path).number("databytes", 0)
    (tmp_path / "databytes").write_text("26214400 bytes")
    assert Control(tmp_path).number("databytes", 0) == 26_214_400


def test_users_assign(tmp_path: Path) -> None:
    path = tmp_path / "assign"
    path.write_text("=joni:joni:" + "9" * 5000 + ":1:/home/joni:::\n.\n")
    with pytest.raises(AssignError, match="assign:1: expected ids of at most 10 digits"):
        Accounts(path).find(b"joni")
